"""Where scenarios and their records are."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.paths import cache_dir
from tests.scenarios.commit import RECORD
from tests.scenarios.order import EVERY_TIME, FOLDER, Scenario
from tests.scenarios.record import Reading, Record, read

MARKED = re.compile(rf"\bmark\.{EVERY_TIME}\b")


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def existing(root: Path) -> list[Scenario]:
    """All scenarios, by the text of their files: also those that pytest was told to ignore. Raises OSError."""
    paths = sorted((root / FOLDER).rglob("test_*.py"))
    return [
        Scenario(path.relative_to(root).as_posix(), bool(MARKED.search(path.read_text(errors="replace"))))
        for path in paths
    ]


def of_a_folder() -> bool:
    """Whether the machines run another Kubernetes than Debian's: what passes there has not passed with Debian's."""
    return bool(os.environ.get("CLUSTERUP_TEST_KUBERNETES"))


def cached() -> Path:
    """This machine's record. Raises BadUse where no one says where that is."""
    return cache_dir() / ("scenarios-of-a-folder.json" if of_a_folder() else "scenarios.json")


def readings(root: Path) -> tuple[Reading, Reading]:
    """The repository's record, which is of Debian's Kubernetes, and that of this machine. Raises nothing."""
    committed = Reading(Record()) if of_a_folder() else read(root / RECORD, now())
    try:
        return committed, read(cached(), now())
    except ClusterupError as error:
        return committed, Reading(Record(), (f"this machine keeps no record: {error}",))
