"""The tests themselves come to the same result, whatever they inherit from the shell, the service or the person that
starts them: a small part of them is run as each of these would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.inheriting import blocking, ignoring, inheriting, with_umask
from tests.helpers.on_a_terminal import on_a_terminal

ROOT = Path(__file__).parents[2]
# Programs that are told to end, files with modes, Unix sockets, terminals.
PART = (
    "tests/integration/phases/test_merging_the_payload.py",
    "tests/integration/console/test_links.py::test_a_program_and_what_it_started_end_with_the_line",
    "tests/integration/console/test_links.py::test_a_unix_socket_carries_every_byte_however_long_its_path",
    "tests/unit/lab/test_processes.py",
    "tests/unit/transport/test_hostkeys.py",
)
PASSED = re.compile(r"^PASSED (\S+)", re.MULTILINE)
NAMES = ("HUP", "INT", "QUIT", "TERM", "CHLD", "USR1", "TTIN", "TTOU")
NOISE = {
    "NO_COLOR": "1",
    "FORCE_COLOR": "1",
    "COLUMNS": "20",
    "TERM": "nothing-known",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "latin-1",
    "PYTHONWARNINGS": "ignore",
    "XDG_STATE_HOME": "/proc/nowhere",
    "XDG_CONFIG_HOME": "/proc/nowhere",
    "KUBECONFIG": "/proc/nowhere",
    "SSH_AUTH_SOCK": "/proc/nowhere",
    "CLUSTERUP_TOKEN": "abcdef.0123456789abcdef",
    "ETCD_NAME": "stranger",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
}


def command(setting: str, environment: dict[str, str]) -> list[str]:
    """The run of the part, with `environment` and no other."""
    known = {"PATH": os.environ["PATH"], **environment}
    pytest_of_its_own = ["-m", "pytest", "-q", "-rA", "--color=no", "-p", "no:cacheprovider", *PART]
    clean = ["env", "-i", *(f"{name}={value}" for name, value in known.items())]
    return [*clean, *inheriting(setting), sys.executable, *pytest_of_its_own]


def passed(said: str) -> set[str]:
    """Which tests passed; there is none that did not."""
    assert not re.search(r"^(FAILED|ERROR)", said, re.MULTILINE), said
    return set(PASSED.findall(said))


@pytest.fixture(scope="module")
def as_usual() -> set[str]:
    done = subprocess.run(command("", {"HOME": "/root"}), cwd=ROOT, capture_output=True, text=True, check=False)
    found = passed(done.stdout)
    assert len(found) > 10, done.stdout + done.stderr
    return found


@pytest.mark.parametrize(
    ("setting", "environment"),
    [
        pytest.param(ignoring(*NAMES), {}, id="nohup, in the background"),
        pytest.param(blocking(*NAMES), {}, id="signals blocked"),
        pytest.param(with_umask(0o077), {}, id="umask 077"),
        pytest.param(with_umask(0), {"HOME": "/nowhere"}, id="umask 0, a home that is not there"),
        pytest.param(with_umask(0o177), {"LC_ALL": "de_DE"}, id="umask 177, another language"),
        pytest.param("os.close(0)", {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}, id="closed input, no locale"),
        pytest.param("os.setsid()", NOISE, id="a session of its own, a full environment"),
    ],
)
def test_without_a_terminal(as_usual: set[str], setting: str, environment: dict[str, str]) -> None:
    done = subprocess.run(command(setting, environment), cwd=ROOT, capture_output=True, text=True, check=False)
    assert passed(done.stdout + done.stderr) == as_usual


def test_with_another_folder_for_temporary_files(as_usual: set[str], tmp_path: Path) -> None:
    place = tmp_path / "a long name with blanks, below other long names" / "and another one"
    place.mkdir(parents=True)
    argv = command("", {"TMPDIR": str(place)})
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert passed(done.stdout) == as_usual


def test_on_a_terminal(as_usual: set[str]) -> None:
    shown = on_a_terminal(command("", NOISE), ROOT, {}, kind="xterm")
    assert passed(shown.text) == as_usual
