"""A made-up suite of scenarios, run as a person or CI runs them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios import files, plugin
from tests.scenarios.record import Record, Seen, merged, read, write
from tests.unit.scenarios.repository import Repository

EVERY_TIME = "import pytest\npytestmark = pytest.mark.every_time\n"
TEST = "def test_it(): pass\n"
FAILS = "def test_it(): assert False\n"
LIMIT = 600
A_DAY = 24 * 3600


class Clock:
    """The time of day, as a test needs it."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.time() + self.passed

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.passed += seconds


class Suite:
    """A made-up repository with scenarios, and a machine with a cache of its own."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester, self.monkeypatch = pytester, monkeypatch
        monkeypatch.delenv("CLUSTERUP_TEST_KUBERNETES", raising=False)
        self.root = pytester.path
        self.cache = self.root / "cache" / "clusterup" / "scenarios.json"
        markers = "every_time: never left out\n    makes_labs: first"
        pytester.makeini(f"[pytest]\nmarkers =\n    {markers}\naddopts = -p no:cacheprovider")
        self.repository = Repository(self.root)

    def scenario(self, name: str, text: str = TEST) -> None:
        """A scenario of that name."""
        room, _, module = name.partition("/")
        path = self.root / "tests" / "e2e" / room / f"test_{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)

    def knows(self, path: Path, *, ago: dict[str, int], seconds: int = 60, runs: int = 0) -> None:
        """The record in that file says so many submissions before this one, a day apart, and how many of them ago each
        scenario passed."""
        now = int(time.time())
        submitted = [Seen(f"{day:040x}", now - day * A_DAY, 3600) for day in range(runs, 0, -1)]
        passed = {name: Seen(f"{day:040x}", now - day * A_DAY + 60, seconds) for name, day in ago.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, merged(read(path, now).record, Record(tuple(submitted), passed)))

    def runs(self, *arguments: str) -> pytest.RunResult:
        """A run of what is asked for."""
        self.monkeypatch.delenv(plugin.UNTIL, raising=False)
        return self._run(*arguments)

    def runs_whole(self, limit: float = LIMIT, *arguments: str) -> pytest.RunResult:
        """A run of everything, which has to be over after so many seconds."""
        self.monkeypatch.setenv(plugin.UNTIL, str(files.now() + limit))
        return self._run(*(arguments or ("tests/e2e",)))

    def _run(self, *arguments: str) -> pytest.RunResult:
        if self.repository.git("status", "--porcelain"):
            self.repository.commits("program", str(time.time()))
        return self.pytester.runpytest_inprocess("-p", "tests.scenarios.plugin", "-v", *arguments)

    def seen(self) -> dict[str, Any]:
        """This machine's record."""
        found: dict[str, Any] = json.loads(self.cache.read_text())
        return found


def order(result: pytest.RunResult) -> list[str]:
    """The scenarios in the order in which their tests were reported."""
    lines = [line.partition("::")[0] for line in result.outlines if "::" in line and line.startswith("tests/e2e/")]
    return [line.removeprefix("tests/e2e/").replace("test_", "").removesuffix(".py") for line in dict.fromkeys(lines)]
