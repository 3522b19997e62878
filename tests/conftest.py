"""What is so for all tests."""

from __future__ import annotations

import os
import time

import pytest

pytest_plugins = ["tests.inherited", "tests.shared_out"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """No test on virtual machines begins after CLUSTERUP_TEST_UNTIL (seconds since the epoch), which scripts/test sets:
    a slow machine would need hours for all of them."""
    until = float(os.environ.get("CLUSTERUP_TEST_UNTIL", "inf"))
    if item.get_closest_marker("e2e") and time.time() > until:
        pytest.skip("this machine is too slow: the hour for tests is over (scripts/test FILE runs those of one file)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests counted (`record_property("counted", ...)`) is said at the end, whoever ran them."""
    for report in (each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)):
        for name, value in report.user_properties:
            if name == "counted":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
