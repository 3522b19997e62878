"""The protocol with QEMU, against a server that says what QEMU says."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.lab.machines.qmp import qmp

GREETING: dict[str, object] = {"QMP": {"version": {}, "capabilities": []}}


def serve(path: Path, answers: Sequence[Sequence[dict[str, object]]]) -> tuple[threading.Thread, list[str]]:
    """Listen at `path`; to the n-th request say the n-th messages."""
    server = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_PATH)
    server.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)
    server.listen()
    heard: list[str] = []

    def run() -> None:
        with server, server.accept()[0] as connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps(GREETING).encode() + b"\n")
            stream.flush()
            for messages in answers:
                heard.append(json.loads(stream.readline())["execute"])
                for message in messages:
                    stream.write(json.dumps(message).encode() + b"\n")
                stream.flush()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, heard


def test_events_between_command_and_answer_are_passed_over(tmp_path: Path) -> None:
    event: dict[str, object] = {"event": "RESET", "data": {}}
    thread, heard = serve(tmp_path / "s", [[{"return": {}}], [event, event, {"return": {"status": "running"}}]])
    with qmp(tmp_path / "s") as session:
        assert session.execute("query-status") == {"status": "running"}
    thread.join()
    assert heard == ["qmp_capabilities", "query-status"]


def test_a_refusal_is_said_in_qemus_words(tmp_path: Path) -> None:
    refusal: dict[str, object] = {"error": {"class": "GenericError", "desc": "no such thing"}}
    thread, _ = serve(tmp_path / "s", [[{"return": {}}], [refusal]])
    with qmp(tmp_path / "s") as session, pytest.raises(ClusterupError) as raised:
        session.execute("cont")
    thread.join()
    assert "no such thing" in str(raised.value)


def test_a_connection_that_ends_is_an_os_error(tmp_path: Path) -> None:
    thread, _ = serve(tmp_path / "s", [[{"return": {}}]])
    with qmp(tmp_path / "s") as session:
        thread.join()
        with pytest.raises(OSError, match=r"closed|Broken pipe"):
            session.execute("cont")


def test_a_socket_deeper_than_an_address_has_room_for_is_reached(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    thread, _ = serve(deep / "qmp.sock", [[{"return": {}}]])
    with qmp(deep / "qmp.sock"):
        pass
    thread.join()
