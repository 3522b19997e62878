"""What is so for all tests."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

# A shell that runs the tests in the background has them ignore Ctrl-C, and so would all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).parent
# They look at what far sides leave in /run.
ONE_AT_A_TIME = TESTS / "integration" / "serial"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes run tests, those of a module stay together and in their order (--dist loadgroup)."""
    for item in items:
        group = ONE_AT_A_TIME if item.path.is_relative_to(ONE_AT_A_TIME) else item.path
        item.add_marker(pytest.mark.xdist_group(str(group.relative_to(TESTS))))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """No test on virtual machines begins after CLUSTERUP_TEST_UNTIL (seconds since the epoch), which scripts/test sets:
    a slow machine would need hours for all of them."""
    until = float(os.environ.get("CLUSTERUP_TEST_UNTIL", "inf"))
    if item.get_closest_marker("e2e") and time.time() > until:
        pytest.skip("this machine is too slow: the hour for tests is over (scripts/test FILE runs those of one file)")
