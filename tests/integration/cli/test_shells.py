"""Completion in the shells themselves, and what a command does when nobody reads what it says."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

INVENTORY = """\
cluster: {name: lab}
nodes:
- {name: server-1, role: server, address: 192.0.2.11}
- {name: agent-1, address: 192.0.2.21}
- {name: agent-2, address: 192.0.2.22}
"""
PATIENCE = 120
COMMAND = [sys.executable, "-c", "from bootstrap.cli.start import start; start()"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an inventory and a program called clusterup, whose cluster's name is lab."""
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    program = tmp_path / "bin" / "clusterup"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom bootstrap.cli.start import start\nstart()\n")
    program.chmod(0o755)
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {
        **found,
        "HOME": str(place),
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "TERM": "dumb",
        "PS1": "> ",
    }


class Typist:
    """Somebody at a shell."""

    def __init__(self, terminal: int) -> None:
        self.terminal = terminal
        self.shown = ""

    def types(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def sees(self, wanted: str) -> None:
        """Wait until that stands on the screen behind what was seen before."""
        until = time.monotonic() + PATIENCE
        while wanted not in self.shown:
            ready, _, _ = select.select([self.terminal], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"{wanted!r} did not come: {self.shown!r}"
            self.shown += os.read(self.terminal, 65536).decode(errors="replace")
        self.shown = self.shown.partition(wanted)[2]


@contextmanager
def at(shell: list[str], place: Path) -> Iterator[Typist]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shell,
        cwd=place,
        env=environment(place),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Typist(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def needed(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"this machine has no {shell}")
    return found


def test_bash_completes_commands_and_nodes(place: Path) -> None:
    with at([needed("bash"), "--norc", "--noprofile", "-i"], place) as typist:
        typist.types(
            "bind 'set enable-bracketed-paste off'; source <(clusterup --show-completion bash); echo rea''dy\n"
        )
        typist.sees("ready")
        typist.types("clusterup adop\t")
        typist.sees("adopt ")
        typist.types("\x15clusterup console ser\t")
        typist.sees("server-1 ")
        typist.types("\x15clusterup apply --wipe=agent-\t\t")
        typist.sees("agent-1")
        typist.sees("agent-2")
        # Where a file is meant, files are completed.
        typist.types("\x15clusterup plan inv\t")
        typist.sees("inventory.yaml ")


def test_zsh_completes_commands_and_nodes(place: Path) -> None:
    with at([needed("zsh"), "-f", "-i"], place) as typist:
        typist.types("unsetopt prompt_cr prompt_sp; autoload -Uz compinit; compinit -u\n")
        typist.types("source <(clusterup --show-completion zsh); echo rea''dy\n")
        typist.sees("ready")
        typist.types("clusterup adop\t")
        typist.sees("adopt ")
        typist.types("\x15clusterup console ser\t")
        typist.sees("server-1 ")
        typist.types("\x15clusterup plan inv\t")
        typist.sees("inventory.yaml ")


def fish(place: Path, line: str) -> list[str]:
    script = f"clusterup --show-completion fish | source; complete -C {line!r}"
    done = subprocess.run(
        [needed("fish"), "--no-config", "-c", script],
        cwd=place,
        env=environment(place),
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.partition("\t")[0] for line in done.stdout.splitlines() if line]


def test_fish_completes_commands_and_nodes(place: Path) -> None:
    assert fish(place, "clusterup adop") == ["adopt"]
    assert fish(place, "clusterup console ") == ["agent-1", "agent-2", "server-1"]
    assert fish(place, "clusterup apply --wipe=agent-") == ["--wipe=agent-1", "--wipe=agent-2"]
    assert fish(place, "clusterup plan inv") == ["inventory.yaml"]
    assert fish(place, "clusterup schema ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_own_script(place: Path, shell: str) -> None:
    for asked in (["--show-completion", shell], [f"--show-completion={shell}"], ["--show-completion"]):
        done = subprocess.run(
            [*COMMAND, *asked],
            env={**environment(place), "SHELL": f"/usr/bin/{shell}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"_CLUSTERUP_COMPLETE={shell}" in done.stdout
        subprocess.run([needed(shell), "-n"], input=done.stdout, text=True, check=True)


def test_a_shell_without_completion_is_named(place: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--show-completion"],
        env={**environment(place), "SHELL": "/bin/tcsh"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no completion for tcsh" in done.stderr
    assert "--show-completion bash|zsh|fish" in done.stderr


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".local/share/bash-completion/completions/clusterup"),
        ("zsh", ".zfunc/_clusterup"),
        ("fish", ".config/fish/completions/clusterup.fish"),
    ],
)
def test_completion_is_installed_where_the_shell_looks(place: Path, shell: str, file: str) -> None:
    subprocess.run(
        [*COMMAND, "--install-completion", shell], env=environment(place), capture_output=True, text=True, check=True
    )
    assert f"_CLUSTERUP_COMPLETE={shell}" in (place / file).read_text()


# Pipes that nobody reads, and disks that are full


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["apply", "--help"],
        ["schema"],
        ["validate", "inventory.yaml"],
        ["validate", "none.yaml"],
        ["nothing"],
        ["lab", "status"],
        ["--show-completion", "bash"],
    ],
)
@pytest.mark.parametrize("closed", ["stdout", "stderr", "both"])
def test_who_is_not_read_ends_as_other_tools_do(place: Path, arguments: list[str], closed: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=place,
        env=environment(place),
        stdout=subprocess.PIPE if closed == "stderr" else writer,
        stderr=subprocess.PIPE if closed == "stdout" else writer,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    os.close(writer)
    said = (done.stdout or "") + (done.stderr or "")
    assert "Traceback" not in said
    assert "Broken pipe" not in said
    assert "Exception ignored" not in said
    speaks = {"stderr"} if arguments[0] in ("nothing", "lab") or "none.yaml" in arguments else {"stdout"}
    if closed == "both" or closed in speaks:
        assert done.returncode == 141
    else:
        # What it had to say was read: it ended as ever.
        assert done.returncode == (2 if speaks == {"stderr"} else 0)


def test_a_disk_that_is_full_is_said_and_is_a_failure(place: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "schema"], cwd=place, env=environment(place), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
