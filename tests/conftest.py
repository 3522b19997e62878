"""What is so for all tests."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.inherited"]

# Modules that can't run beside each other: these make users of this machine, whose files one program at a time may
# write, or compare what is in its /etc before and after; those look at what far sides leave in /run.
TOGETHER = {
    "users": (
        *("cli/test_adopt", "console/test_login", "console/test_whatever"),
        *("steps/test_cleaning_a_node", "steps/test_entering", "transport/"),
    ),
    "serial": ("serial/",),
}


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """Tests of a module stay together and in their order, as do modules of `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        for name, places in TOGETHER.items():
            if any(module.startswith(f"tests/integration/{place}") for place in places):
                return name
        return module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    """How tests are shared out where several processes run them (-n)."""
    return ByModule(config, log)


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
