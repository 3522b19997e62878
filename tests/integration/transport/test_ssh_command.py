"""`clusterup ssh NODE`: a shell, or a command, on a node by the way of an apply, with a real sshd."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.on_a_terminal import Screen, on_a_terminal
from tests.integration.transport.conftest import Server

CLUSTERUP = (sys.executable, "-c", "from bootstrap.cli.start import start; start()")


@dataclass(frozen=True)
class Operator:
    """Somebody with an inventory of one node, which is this machine's sshd."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state")}

    def ssh(self, *arguments: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """`clusterup ssh ARGUMENTS` in pipes."""
        argv = [*CLUSTERUP, "ssh", *arguments]
        environment = os.environ | self.environment
        return subprocess.run(argv, cwd=self.folder, env=environment, input=typed, capture_output=True, check=False)

    def on_a_terminal(self, *arguments: str, typed: bytes = b"", then: dict[bytes, bytes] | None = None) -> Screen:
        """The same on a terminal."""
        argv = [*CLUSTERUP, "ssh", *arguments]
        return on_a_terminal(argv, self.folder, self.environment, kind="vt220", typed=typed, then=then)


@pytest.fixture
def operator(tmp_path: Path, sshd: Server) -> Operator:
    ssh = {"host": "127.0.0.1", "port": sshd.port, "key": str(sshd.key), "host_key": sshd.host_key}
    node = {"name": "s1", "role": "server", "address": "10.77.0.11", "disk": "/dev/vda", "ssh": ssh}
    (tmp_path / "inventory.yaml").write_text(json.dumps({"cluster": {"name": "lab"}, "nodes": [node]}))
    return Operator(tmp_path)


def test_a_command_s_words_arrive_as_they_were_typed(operator: Operator) -> None:
    done = operator.ssh("s1", "--", "printf", "%s\n", "two words", "$HOME", "it's")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"two words\n$HOME\nit's\n", b"")


@pytest.mark.parametrize("status", [0, 1, 42])
def test_its_exit_code_is_that_of_the_command(operator: Operator, status: int) -> None:
    assert operator.ssh("s1", "--", "sh", "-c", f"exit {status}").returncode == status


def test_a_command_that_a_signal_ended_is_255(operator: Operator) -> None:
    assert operator.ssh("s1", "kill -9 $$").returncode == 255


def test_one_word_is_a_line_for_the_shell_there(operator: Operator) -> None:
    assert operator.ssh("s1", "printf 'a\\nb\\n' | wc -l").stdout.strip() == b"2"


def test_what_is_piped_in_and_out_is_not_changed(operator: Operator) -> None:
    data = os.urandom(3_000_000)
    assert operator.ssh("s1", "cat", typed=data).stdout == data


def test_a_command_that_says_much_before_it_reads_is_heard(operator: Operator) -> None:
    done = operator.ssh("s1", "head -c 5000000 /dev/zero; cat >/dev/null", typed=bytes(8_000_000))
    assert (done.returncode, len(done.stdout)) == (0, 5_000_000)


def test_a_command_that_ends_before_it_has_read_all_has_its_own_exit_code(operator: Operator) -> None:
    done = operator.ssh("s1", "head -c 3; exit 7", typed=b"abc" * 3_000_000)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"abc", b"")


def test_a_reader_of_its_output_that_is_gone_ends_it_as_in_any_pipe(operator: Operator) -> None:
    script = f"{shlex.join(CLUSTERUP)} ssh s1 'yes a line' | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=operator.folder,
        env=os.environ | operator.environment,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (141, b"a line\n")


def test_what_reaches_a_terminal_that_is_not_the_session_s_own_is_made_safe(operator: Operator) -> None:
    argv = ["sh", "-c", f"{shlex.join(CLUSTERUP)} ssh s1 'printf \"\\033[31mred\"' </dev/null"]
    screen = on_a_terminal(argv, operator.folder, operator.environment, kind="xterm")
    assert "\\x1b[31mred" in screen.text


def test_both_outputs_stay_apart(operator: Operator) -> None:
    done = operator.ssh("s1", "--", "sh", "-c", "echo out; echo beside >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"beside\n")


def test_on_a_terminal_the_shell_has_one_of_that_kind_and_size(operator: Operator) -> None:
    screen = operator.on_a_terminal("s1", typed=b"echo is $TERM, $(stty size), $(tty | cut -c1-8)\nexit 7\n")
    assert "is vt220, 50 200, /dev/pts" in screen.text
    assert screen.status == 7


def test_ctrl_c_goes_to_the_command(operator: Operator) -> None:
    waits = "trap 'echo was interrupted; exit 5' INT; echo is ready; while :; do sleep 0.1; done"
    screen = operator.on_a_terminal("s1", waits, then={b"is ready": b"\x03"})
    assert "was interrupted" in screen.text
    assert screen.status == 5


def test_a_connection_that_breaks_is_said_and_not_taken_for_an_end(operator: Operator) -> None:
    # The process of sshd that has this session, and no other.
    done = operator.ssh("s1", "kill -9 $PPID; sleep 60")
    assert done.returncode == 1
    assert b"the connection broke" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_node_that_is_not_in_the_inventory_is_bad_use(operator: Operator) -> None:
    done = operator.ssh("s2")
    assert done.returncode == 2
    assert b"there are s1" in done.stderr


def test_a_host_key_that_is_another_one_lets_nobody_in(operator: Operator, start_sshd: Callable[..., Server]) -> None:
    inventory = json.loads((operator.folder / "inventory.yaml").read_text())
    inventory["nodes"][0]["ssh"]["host_key"] = start_sshd().host_key
    (operator.folder / "inventory.yaml").write_text(json.dumps(inventory))
    done = operator.ssh("s1", "true")
    assert done.returncode != 0
    assert b"host key" in done.stderr


def test_nothing_is_written_on_this_machine(operator: Operator) -> None:
    operator.ssh("s1", "true")
    assert not (operator.folder / "state").exists()
