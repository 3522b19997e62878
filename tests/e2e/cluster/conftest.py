"""Three servers, made into a cluster once, as a user does it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Operator, lab_of

NAME = "e2e"
SERVERS = ("server-1", "server-2", "server-3")
# Nothing but its console leads into it while it is bare.
BY_CONSOLE = "server-3"


@pytest.fixture(scope="package")
def bare_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Machines with empty disks that run the live environment."""
    counts = ("--servers", str(len(SERVERS)), "--agents", "0", "--by-console", BY_CONSOLE)
    with lab_of(tmp_path_factory, NAME, *counts) as operator:
        yield operator


@pytest.fixture(scope="package")
def cluster(bare_lab: Operator) -> Operator:
    """A cluster of all machines: what `clusterup apply` makes of the bare lab, as a saved plan says. What was done
    stands in `applied.jsonl`."""
    if (bare_lab.folder / "applied.jsonl").exists():
        return bare_lab
    bare_lab.clusterup("plan", "lab.yaml", "--out", "plan.json")
    said = bare_lab.clusterup("apply", "--plan", "plan.json", "--yes", "-o", "json")
    (bare_lab.folder / "applied.jsonl").write_text(said)
    return bare_lab
