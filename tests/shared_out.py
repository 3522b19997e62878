"""How tests are shared out where several processes run them (-n): what takes long begins first, so that no process is
left alone with it at the end."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

INTEGRATION = "tests/integration/"
# Modules that can't run beside each other: these make users of this machine, whose files one program at a time may
# write, or compare what is in its /etc before and after; those look at what far sides leave in /run.
TOGETHER = {
    "users": (
        *("cli/test_adopt", "console/test_login", "console/test_whoever"),
        *("phases/test_cleaning_a_node", "connect/test_entering", "transport/"),
    ),
    "serial": ("serial/",),
}
# Tests that take long and share nothing that is slow to make: each goes to whichever process is free.
APART = (
    "cli/test_inventories_that_attack",
    "cli/test_damaged_state.py::test_no_damage",
    "console/test_whatever",
    "etcd/",
    "simulator/test_kill_sweep",
)
# About how many seconds they take on two processors, from where on that matters.
SECONDS = {
    "serial": 300,
    "users": 280,
    "simulator/test_kill_sweep": 200,
    "kube/test_approver": 150,
    "simulator/test_bench_join": 100,
    "cli/test_inventories_that_attack": 90,
    "cli/test_damaged_state": 80,
    "lab/test_balancer": 75,
    "cli/test_poor_surroundings": 60,
    "node/test_crowds_at_the_artifact_server": 40,
    "node/test_answers_without_an_end": 35,
    "clients/test_slow_api_servers": 35,
    "lab/test_life_of_a_lab": 35,
    "simulator/": 30,
    "kube/": 30,
    "console/test_whatever": 25,
    "cli/": 20,
    "console/": 15,
    "etcd/": 15,
}


def scope_of(nodeid: str) -> str:
    """What stays together, in its order: the module, several modules of `TOGETHER`, or the test alone."""
    place = nodeid.removeprefix(INTEGRATION)
    for name, places in TOGETHER.items():
        if place != nodeid and place.startswith(places):
            return name
    return nodeid if place != nodeid and place.startswith(APART) else nodeid.partition("::")[0]


def seconds_of(scope: str) -> int:
    """About how long what stays together takes."""
    place = scope.removeprefix(INTEGRATION)
    return next((seconds for start, seconds in SECONDS.items() if place.startswith(start)), 0)


class ByScope(LoadScopeScheduling):  # type: ignore[misc]
    """Scopes go to the processes in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByScope:
    config.option.loadscopereorder = False
    return ByScope(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share them, the tests that take longest come first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: -seconds_of(scope_of(item.nodeid)))
