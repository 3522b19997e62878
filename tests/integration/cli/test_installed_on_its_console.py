"""A node without a network whose console shows that it is installed: looked at, left alone, and no failure."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bootstrap.operations.planning import installation_of
from bootstrap.operations.reading import intent_of_file
from bootstrap.phases.pinned import pin
from tests.integration.cli.test_plan_and_apply import Operator, operator
from tests.integration.transport.conftest import sshd, start_sshd

__all__ = ["operator", "sshd", "start_sshd"]


@contextmanager
def console(path: Path, shown: str) -> Iterator[None]:
    """What getty and login say on the console of an installed system: no one gets in there."""
    prompt = f"\r\n{shown}\r\n\r\ns1 login: ".encode()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def talk(line: socket.socket) -> None:
            typed = b""
            while data := line.recv(100):
                typed += data
                if typed.endswith(b"\x04"):
                    line.sendall(b"\r\nLogin incorrect" + prompt)
                    typed = b""
                elif typed.endswith(b"\r"):
                    line.sendall(b"root\r\nPassword: " if b"root" in typed else prompt)
                    typed = b""

        def serve() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                # Whoever looked may hang up in the middle of an answer.
                with line, suppress(OSError):
                    talk(line)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()


@pytest.fixture
def inventory(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Path:
    operator.inventory()
    file = operator.folder / "lab.yaml"
    content = json.loads(file.read_text())
    content["nodes"][0]["console"] = {"url": f"unix:{operator.folder}/console.sock", "only": True}
    file.write_text(json.dumps(content))
    monkeypatch.setenv("XDG_STATE_HOME", str(operator.folder / "state"))
    return file


@pytest.mark.parametrize("command", ["plan", "apply --yes"])
def test_as_the_inventory_says_leaves_nothing_to_do_and_is_no_failure(
    operator: Operator, inventory: Path, command: str
) -> None:
    intent = intent_of_file(inventory, None)
    shown = f"Configuration: {installation_of(intent).configuration('s1')}"
    intent.state.keep_made()
    pin(intent.state, intent.inventory, intent.bundle)
    with console(operator.folder / "console.sock", shown):
        done = operator.types(*command.split(), "lab.yaml")
    assert "nothing to do" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_with_another_configuration_it_is_refused(operator: Operator, inventory: Path) -> None:
    with console(operator.folder / "console.sock", f"Configuration: {'0f' * 32}"):
        done = operator.types("plan", "lab.yaml")
    assert done.returncode == 4
    assert "s1: preflight: it runs the installed system with another configuration" in done.stderr
