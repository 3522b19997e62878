"""Whether a name server answers, asked as a node asks it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bootstrap.doctor import on_node


@contextmanager
def name_server(answer: bytes | None) -> Iterator[int]:
    """One on a port of loopback that gives that answer behind the number of each question; none where that is None."""
    over = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)

        def serve() -> None:
            while not over.is_set():
                try:
                    question, place = server.recvfrom(512)
                except TimeoutError:
                    continue
                if answer is not None:
                    server.sendto(question[:2] + answer, place)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join()


def test_one_that_answers_is_well_whatever_it_answers() -> None:
    with name_server(b"\x81\x82" + b"\0" * 8) as port:
        assert on_node.asked("127.0.0.1", port) == ""


def test_one_that_is_silent_is_asked_twice_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_node, "DNS_SECONDS", 0.1)
    with name_server(None) as port:
        assert on_node.asked("127.0.0.1", port) == "no answer within 0 s"


def test_a_port_where_nobody_listens_says_so() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    assert on_node.asked("127.0.0.1", port) == "Connection refused"


def test_an_address_that_is_none_is_said_to_be_wrong() -> None:
    assert on_node.asked("no address") != ""
