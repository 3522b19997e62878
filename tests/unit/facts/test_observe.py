"""An API server that is away for a moment is waited for; one that does not run is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from bootstrap.engine.connections import Connections
from bootstrap.facts import cluster as observe
from bootstrap.facts.cluster import read_api
from bootstrap.facts.model import UnitFacts
from bootstrap.state.credentials import OperatorKeys
from tests.helpers.local_transport import LocalTransport
from tests.helpers.worlds import facts

KEYS = cast(OperatorKeys, None)


class Server:
    """An API server that says that it is not ready the first `away` times."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.asked = 0

    def ready(self) -> bool:
        self.asked += 1
        return self.asked > self.away

    def list_remembered(self, kind: str, labels: object = None) -> list[dict[str, Any]]:
        return [{"metadata": {"name": "s1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server(away=2)

    @contextmanager
    def api_at(*_: object) -> Iterator[Server]:
        yield found

    monkeypatch.setattr(observe, "api_at", api_at)
    monkeypatch.setattr(observe, "AGAIN_SECONDS", 0.01)
    return found


def running(active: str) -> dict[str, Any]:
    return {"s1": facts(units={"kube-apiserver.service": UnitFacts(active, "x")})}


def test_an_api_server_that_is_away_for_a_moment_is_asked_again(server: Server) -> None:
    found = read_api(running("active"), ["s1"], Connections(LocalTransport), KEYS, ())
    assert found is not None
    assert found.ready == {"s1": True}
    assert server.asked == 3


def test_an_api_server_that_does_not_run_is_not_waited_for(server: Server) -> None:
    assert read_api(running("failed"), ["s1"], Connections(LocalTransport), KEYS, ()) is None
    assert server.asked == 0


def test_an_api_server_that_stays_away_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "PATIENCE_SECONDS", 0.0)
    server.away = 100
    assert read_api(running("active"), ["s1"], Connections(LocalTransport), KEYS, ()) is None
    assert server.asked == observe.ROUNDS
