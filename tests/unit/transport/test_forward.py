"""A port that leads to a node, when the way into the node goes away under it."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from bootstrap.transport.forward import forward
from tests.helpers.daemons import wait_for


@dataclass(eq=False)
class Channel:
    """A channel of a connection that is gone: nothing comes, and nothing can be said, not even goodbye."""

    closed: bool = False

    def recv(self, size: int) -> bytes:
        return b""

    def sendall(self, data: bytes) -> None:
        raise EOFError

    def shutdown(self, how: int) -> None:
        raise EOFError

    def close(self) -> None:
        self.closed = True
        raise EOFError


@dataclass
class Transport:
    channels: list[Channel] = field(default_factory=list)

    def open_channel(self, *_: object, **__: object) -> Channel:
        self.channels.append(Channel())
        return self.channels[-1]


def test_a_connection_that_goes_away_ends_what_was_led_through_it_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", said.append)
    transport = Transport()
    with forward(transport, "127.0.0.1", 1) as place, socket.create_connection(place, timeout=60) as client:  # type: ignore[arg-type]
        client.sendall(b"hello")
        wait_for(lambda: bool(transport.channels) and transport.channels[0].closed, "the end of the channel")
    wait_for(lambda: not [one for one in threading.enumerate() if "_serve" in one.name], "the end of its threads")
    assert said == []
