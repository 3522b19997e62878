"""Ctrl-C, wherever it is pressed: exit code 130 and one line that says how to go on."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.daemons import wait_for
from tests.integration.cli.test_plan_and_apply import Operator, operator

__all__ = ["operator"]

SAID = "interrupted: the same command, run again, begins with what is true by then\n"


def ctrl_c(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a process that is interrupted, and what it wrote to standard error."""

    def ended() -> bool:
        # Again, as a person does: a press in the moment before a read begins is noticed when the read ends.
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    try:
        wait_for(ended, "its end")
    finally:
        process.kill()
    _, errors = process.communicate()
    return process.returncode, errors


def is_read(fifo: Path, writers: list[int]) -> bool:
    """Whether somebody has opened the FIFO at `path` to read it: they wait for what never comes."""
    with suppress(OSError):
        writers.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    return bool(writers)


@pytest.fixture
def interrupted_reading(operator: Operator) -> Iterator[Callable[..., tuple[int, str]]]:
    """Runs a command that reads a file, and presses Ctrl-C while it does."""
    writers: list[int] = []

    def run(file: str, *command: str) -> tuple[int, str]:
        fifo = operator.folder / file
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        with operator.begins(*command) as process:
            wait_for(lambda: is_read(fifo, writers), f"{file} to be read")
            return ctrl_c(process)

    yield run
    for writer in writers:
        os.close(writer)


@pytest.mark.parametrize(
    "command",
    ["validate", "plan", "apply", "apply --dry-run", "status", "verify", "kubeconfig"],
)
def test_it_ends_every_command_about_a_cluster(
    interrupted_reading: Callable[..., tuple[int, str]], command: str
) -> None:
    assert interrupted_reading("lab.yaml", *command.split(), "lab.yaml") == (130, SAID)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_says_the_same(operator: Operator, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        operator.inventory(host_key=operator.sshd.host_key, port=silent.getsockname()[1])
        with operator.begins("plan", "lab.yaml") as process:
            peer, _ = silent.accept()
            with peer:
                process.send_signal(number)
                _, errors = process.communicate(timeout=60)
                assert (process.returncode, errors) == (130, SAID)


def test_it_ends_a_command_of_a_group(interrupted_reading: Callable[..., tuple[int, str]]) -> None:
    assert interrupted_reading("bundle/manifest.json", "image", "show", "bundle") == (130, SAID)


@pytest.mark.parametrize("command", ["plan lab.yaml", "apply lab.yaml", "status lab.yaml", "adopt root@127.0.0.1:{0}"])
def test_it_ends_the_wait_for_a_machine_that_says_nothing(operator: Operator, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        operator.inventory(host_key=operator.sshd.host_key, port=port)
        with operator.begins(*command.format(port).split()) as process:
            peer, _ = silent.accept()
            with peer:
                assert ctrl_c(process) == (130, SAID)


@pytest.mark.parametrize("command", ["plan lab.yaml", "apply lab.yaml", "status lab.yaml", "adopt root@127.0.0.1:{0}"])
def test_it_is_an_answer_to_every_question(operator: Operator, command: str) -> None:
    operator.inventory()
    keyboard, terminal = pty.openpty()
    try:
        with operator.begins(*command.format(operator.sshd.port).split(), stdin=terminal) as process:
            assert process.stdout is not None
            shown = ""
            while "Is it this machine's? [y/N]: " not in shown:
                letter = process.stdout.read(1)
                assert letter, shown
                shown += letter
            assert ctrl_c(process) == (130, SAID)
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_it_ends_a_command_that_has_hardly_begun(operator: Operator) -> None:
    (operator.folder / "typer.py").write_text("import sys\nprint('beginning', flush=True)\nsys.stdin.read()\n")
    quiet, writer = os.pipe()
    try:
        with operator.begins("plan", "lab.yaml", stdin=quiet) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "beginning\n"
            assert ctrl_c(process) == (130, SAID)
    finally:
        os.close(quiet)
        os.close(writer)
