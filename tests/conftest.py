"""What is so for all tests."""

from __future__ import annotations

import pytest

# The state that tests begin in; how several processes share them; the order of end-to-end tests, their record and their
# limit of time (docs/testing.md).
pytest_plugins = ["tests.inherited", "tests.shared_out", "tests.scenarios.plugin"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests counted (`record_property("counted", ...)`) is said at the end, whoever ran them."""
    for report in (each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)):
        for name, value in report.user_properties:
            if name == "counted":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
