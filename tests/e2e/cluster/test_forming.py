"""From bare machines to three servers, each time anew; others begin with what comes of it."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest

from bootstrap.lab.machines.drives import kind_of
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import APPLIED, PLAN, SERVERS, THREE_BARE, THREE_SERVERS
from tests.helpers.arguments import arguments_seen
from tests.helpers.daemons import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.every_time, pytest.mark.makes_labs]


@pytest.fixture(scope="module")
def bare_lab(labs: Labs) -> Operator:
    """Machines with empty disks that run the live environment."""
    return labs.begins(THREE_BARE, __name__)


@pytest.fixture(scope="module")
def arguments(labs: Labs, bare_lab: Operator) -> set[str]:
    """What processes of this machine were called with while the cluster was made."""
    with arguments_seen() as seen:
        labs.grows(THREE_SERVERS)
    return seen


@pytest.fixture(scope="module")
def formed(bare_lab: Operator, arguments: set[str]) -> Operator:
    """What `clusterup apply` makes of them, in each run of these tests; all others find it put aside."""
    del arguments
    return bare_lab


def test_before_anything_is_changed_the_plan_says_what_would_be_done_and_why(bare_lab: Operator) -> None:
    planned = bare_lab.clusterup("plan", "lab.yaml")
    assert "because it runs our live environment, not the installed micro OS" in planned
    assert "found the etcd cluster" in planned
    assert "serial lab-" in planned


def test_a_dry_run_leaves_bare_disks_as_they_are(bare_lab: Operator) -> None:
    before = disks(bare_lab)
    said = bare_lab.runs("apply", "lab.yaml", "--yes", "--dry-run")
    assert said.returncode == 0
    assert "nothing was done: this was a dry run" in said.stderr
    assert disks(bare_lab) == before
    assert len(before) == len(SERVERS)


def disks(operator: Operator) -> dict[str, tuple[int, int]]:
    """When each machine's disk was written to last, and how much of it is in use: they are empty, and large."""
    folder = operator.state / "clusterup" / "labs" / operator.name
    found = {name: (folder / name / f"disk.{kind_of(folder / name, 'disk')}").stat() for name in SERVERS}
    return {name: (disk.st_mtime_ns, disk.st_blocks) for name, disk in found.items()}


def test_what_was_done_is_what_the_saved_plan_said(formed: Operator) -> None:
    planned = [action["id"] for action in json.loads((formed.folder / PLAN).read_text())["actions"]]
    events = [json.loads(line) for line in (formed.folder / APPLIED).read_text().splitlines() if line[0] == "{"]
    assert sorted(event["id"] for event in events if event["event"] == "ActionDone") == sorted(planned)
    assert [event for event in events if event["event"] in ("ActionFailed", "ActionSkipped")] == []


def test_every_node_is_ready_and_every_server_has_a_vote(formed: Operator) -> None:
    well: list[dict[str, Any]] = []

    def healthy() -> bool:
        well.append(formed.status())
        return bool(well[-1]["healthy"])

    wait_for(healthy, "the cluster to be healthy", 900)
    status = well[-1]
    assert {node["name"]: node["state"] for node in status["nodes"]} == dict.fromkeys(SERVERS, "Ready")
    assert {member["name"] for member in status["etcd"] if member["voter"]} == set(SERVERS)
    assert len([member for member in status["etcd"] if member["leader"]]) == 1
    assert [server["ready"] for server in status["api"]] == [True for _ in SERVERS]


def test_the_operator_s_secrets_are_in_no_process_s_arguments(formed: Operator, arguments: set[str]) -> None:
    assert [each for each in arguments if f"apply --plan {PLAN}" in each]
    keys = [path for path in formed.kept.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert {"ca.key", "sa.key", "id_ed25519"} <= {path.name for path in keys}
    assert not [each for each in arguments if "PRIVATE KEY" in each]
    for path in keys:
        _, middle, *_ = path.read_text().splitlines()
        assert not [each for each in arguments if middle in each], path
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(formed.kept.stat().st_mode) & 0o077 == 0
