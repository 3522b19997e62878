"""How long somebody waits for a unit: one that starts slowly for long, one that fails again and again not so long."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.context import RunContext
from bootstrap.engine.events import unobserved
from bootstrap.engine.patience import TooLate
from bootstrap.phases.deploy import services
from bootstrap.phases.deploy.services import FAILING_SECONDS, START_SECONDS, UnitDown, ensure_units
from bootstrap.transport.base import Command, Result
from tests.helpers.local_transport import LocalTransport

STARTING = b"unit kubelet.service activating 0\n"
ONCE = b"unit kubelet.service activating 1\nkubelet: etcd was slow\n"
FAILING = b"unit kubelet.service activating 7\nkubelet: no such file\n"
FAILED = b"unit kubelet.service failed 0\nkubelet: no such file\n"


class Clock:
    """A clock that goes on by a minute with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Node(LocalTransport):
    """A node whose unit is never up."""

    def __init__(self, clock: Clock, said: bytes) -> None:
        super().__init__()
        self.clock, self.said = clock, said

    def check(self, command: Command, **_: Any) -> Result:
        if command.name == "look at units":
            self.clock.now += 60
            return Result(command, 0, self.said, b"", 60.0)
        return Result(command, 0, b"", b"", 0.0)


def waited_for(said: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[float, Exception]:
    """How long it was waited for a unit of which the node says this, and how that ended."""
    clock = Clock()
    monkeypatch.setattr(services, "time", clock)
    monkeypatch.setattr("bootstrap.engine.patience.time", clock)
    action: Action[Any] = Action("a1/join", "a1", "join", "join the kubelet", lambda _: None, lambda _: None)
    context = RunContext(action, Connections(lambda _: Node(clock, said)), unobserved, {}, threading.Event())
    monkeypatch.setattr(context.abort, "wait", lambda _: False)
    with pytest.raises((UnitDown, TooLate)) as ended:
        ensure_units(context, "a1", [])
    return clock.now, ended.value


@pytest.mark.parametrize("said", [STARTING, ONCE])
def test_a_slow_machine_has_half_an_hour_for_a_start(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    waited, ended = waited_for(said, monkeypatch)
    assert waited == START_SECONDS
    assert "waited 1800 s in vain" in str(ended)


@pytest.mark.parametrize("said", [FAILING, FAILED])
def test_what_fails_again_and_again_is_given_up_earlier_with_its_journal(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited, ended = waited_for(said, monkeypatch)
    assert waited == FAILING_SECONDS + 60
    assert isinstance(ended, UnitDown)
    assert ended.got == "kubelet: no such file"
    assert ended.node == "a1"
