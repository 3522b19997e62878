"""clusterup started with signals ignored or blocked, an odd umask, another encoding: it does what it does elsewhere."""

from __future__ import annotations

import select
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.inheriting import blocking, ignoring, inheriting, with_umask

CLUSTERUP = [sys.executable, "-c", "from bootstrap.cli.start import start; start()"]
# A tool that tells what it was started with, and fails.
TELLS = """\
#!/bin/sh
{ umask; while read -r line; do echo "$line"; done </proc/$$/status; } >"$TOLD"
echo nothing was made
exit 7
"""
SIGNALS = ("HUP", "INT", "TERM", "CHLD", "USR1")


@dataclass(frozen=True)
class Told:
    """What a tool inherited from clusterup."""

    umask: int
    blocked: int
    ignored: int

    def ignores(self, number: signal.Signals) -> bool:
        return bool(self.ignored >> (number - 1) & 1)


@dataclass(frozen=True)
class Person:
    """Somebody with tools that fail."""

    folder: Path

    def types(self, start: list[str], *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {
            "PATH": f"{self.folder}/tools:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "TOLD": str(self.folder / "told"),
        }
        return subprocess.run(
            [*start, *CLUSTERUP, *arguments],
            env=own | environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def told(self) -> Told:
        umask, *status = (self.folder / "told").read_text().splitlines()
        fields = dict(line.split() for line in status if line.startswith("Sig"))
        return Told(int(umask, 8), int(fields["SigBlk:"], 16), int(fields["SigIgn:"], 16))


@pytest.fixture
def person(tmp_path: Path) -> Person:
    (tmp_path / "tools").mkdir()
    for name in ("mmdebstrap", "bwrap"):
        tool = tmp_path / "tools" / name
        tool.write_text(TELLS)
        tool.chmod(0o755)
    return Person(tmp_path)


@pytest.mark.parametrize(
    "setting", ["", ignoring("CHLD"), ignoring(*SIGNALS), blocking(*SIGNALS), with_umask(0o077), with_umask(0o777)]
)
def test_a_tool_that_fails_fails_the_command_whatever_was_inherited(person: Person, setting: str) -> None:
    done = person.types(inheriting(setting), "image", "build")
    assert done.returncode == 1, done.stderr
    assert "exit status 7: nothing was made" in done.stderr
    told = person.told
    assert told.umask == 0o022
    assert told.blocked == 0
    assert not told.ignores(signal.SIGCHLD)
    assert not told.ignores(signal.SIGTERM)


def test_what_nohup_protects_is_protected_down_to_the_tools(person: Person) -> None:
    person.types(inheriting(ignoring("HUP")), "image", "build")
    assert person.told.ignores(signal.SIGHUP)


@pytest.mark.parametrize(
    ("umask", "mode"), [(0, 0o644), (0o002, 0o644), (0o022, 0o644), (0o077, 0o600), (0o177, 0o600), (0o777, 0o600)]
)
def test_its_owner_reads_what_is_written_no_one_else_changes_it_and_others_stay_out_as_the_umask_says(
    person: Person, umask: int, mode: int
) -> None:
    done = person.types(inheriting(with_umask(umask)), "init")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((person.folder / "inventory.yaml").stat().st_mode) == mode


def test_text_in_files_is_utf_8_whatever_the_locale_has(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("Straße", encoding="utf-8")
    program = "import sys; from pathlib import Path; from bootstrap.inherited import settle; settle(); "
    program += "print(ascii(Path(sys.argv[1]).read_text()))"
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "words"],
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "'Stra\\xdfe'\n", done.stderr


def test_who_reads_from_a_pipe_has_each_line_when_it_is_said() -> None:
    says = "import sys; sys.stdout.write('said\\n'); sys.stdin.read()"
    begins = "from bootstrap.inherited import settle; from bootstrap.outside import guard_streams"
    program = f"{begins}; settle(); guard_streams(); {says}"
    with subprocess.Popen(
        [sys.executable, "-c", program], env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        # It ends when no one holds its standard input any more, and would write then.
        said, _, _ = select.select([process.stdout], [], [], 60)
        assert said
        assert process.stdout.readline() == b"said\n"
