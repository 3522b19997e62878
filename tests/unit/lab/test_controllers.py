"""Controllers whose tokens expired while the machines stood still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from bootstrap.engine.connections import Connections
from bootstrap.errors import ClusterupError
from bootstrap.inventory.load import parse_inventory
from bootstrap.lab.saves import controllers
from bootstrap.lab.saves.health import Operator
from bootstrap.state.credentials import OperatorKeys
from bootstrap.transport.base import Transport

INVENTORY = b"""
cluster: {name: lab}
nodes:
- {name: s1, role: server, address: 10.0.0.1, disk: /dev/vda}
- {name: a1, address: 10.0.0.2, disk: /dev/vda}
"""
SINCE = 1_700_000_000.0
BEFORE, AFTER = "2023-11-14T20:00:00.000000Z", "2023-11-14T22:13:30.000000Z"


@dataclass
class Machine:
    """A machine on which commands run, or not."""

    ran: list[str] = field(default_factory=list)
    broken: bool = False

    def check(self, command: Any, **_: object) -> None:
        if self.broken:
            raise ClusterupError("no answer", got="silence", hint="wait")
        self.ran.append(command.script)


@dataclass
class Api:
    """An API server with a lock: what it says when it is asked for, one time after the other."""

    acquired: list[str | None]
    deleted: int = 0

    def get(self, *_: object) -> dict[str, Any] | None:
        when = self.acquired.pop(0)
        return None if when is None else {"spec": {"acquireTime": when}}

    def delete(self, *_: object) -> bool:
        self.deleted += 1
        return True


def operator(machine: Machine) -> Operator:
    return Operator(
        parse_inventory(Path("lab.yaml"), INVENTORY),
        Connections(lambda _: cast(Transport, machine)),
        cast(OperatorKeys, object()),
    )


def test_controller_managers_of_servers_are_restarted() -> None:
    machine = Machine()
    controllers.restart_controllers(operator(machine), ["s1", "a1"], pytest.fail)
    assert machine.ran == ["systemctl try-restart kube-controller-manager.service"]


def test_a_server_where_that_is_not_possible_is_named() -> None:
    said: list[str] = []
    controllers.restart_controllers(operator(Machine(broken=True)), ["s1"], said.append)
    assert said == [
        "s1: its controller manager could not be restarted, and its tokens may have expired: silence; "
        "next: restore the lab again, or run `systemctl try-restart kube-controller-manager.service` there"
    ]


def test_no_one_is_asked_where_no_server_runs() -> None:
    controllers.restart_controllers(operator(Machine(broken=True)), ["a1"], pytest.fail)


@pytest.mark.parametrize(
    ("acquired", "deleted"),
    [([AFTER], 0), ([BEFORE, None, AFTER], 1), ([None, AFTER], 0), (["no time", AFTER], 1)],
    ids=["new", "of-before", "none-yet", "no-one-says-when"],
)
def test_the_lock_of_those_before_is_taken_from_them_until_somebody_new_has_it(
    monkeypatch: pytest.MonkeyPatch, acquired: list[str | None], deleted: int
) -> None:
    api = Api(acquired)

    @contextmanager
    def any_api(*_: object) -> Iterator[Api]:
        yield api

    monkeypatch.setattr(controllers, "any_api", any_api)
    monkeypatch.setattr(controllers, "EVERY", 0.0)
    controllers.wait_for_controllers(operator(Machine()), SINCE)
    assert api.deleted == deleted
    assert api.acquired == []


def test_where_none_gets_the_lock_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def any_api(*_: object) -> Iterator[Api]:
        yield Api([None])

    monkeypatch.setattr(controllers, "any_api", any_api)
    monkeypatch.setattr(controllers, "ELECTED_SECONDS", 0.0)
    with pytest.raises(ClusterupError) as raised:
        controllers.wait_for_controllers(operator(Machine()), SINCE)
    assert raised.value.problem == "waited 0 s in vain for a controller manager to be at work"
    assert raised.value.hint == "the machines go on: look with clusterup status, or restore it again"
