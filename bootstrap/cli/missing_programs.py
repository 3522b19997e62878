"""A person who sits in front of a machine that lacks programs can have them installed, and goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import NoReturn

from bootstrap.errors import ClusterupError
from bootstrap.host.build_info import executable
from bootstrap.host.programs import MissingPrograms, missing
from bootstrap.signals import handled


def offered(error: ClusterupError) -> bool:
    """Ask whether the programs that are missing are to be installed, where that is what is wrong, there is somebody to
    ask, and it is known how; whether they are there now."""
    if not isinstance(error, MissingPrograms) or error.install is None:
        return False
    become = _become_root()
    if become is None or not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    argv = [*become, *error.install]
    sys.stderr.write(f"{error.step}: this needs {', '.join(error.names)}, not found on this machine\n")
    sys.stderr.write(f"Run `{' '.join(argv)}` now, and then this command again? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        return False
    # Ctrl-C is the package manager's, which must not be killed in the middle of its work. A handler, and not to ignore
    # it: what is ignored would be so there as well.
    with handled((signal.SIGINT,), lambda *_: None):
        done = subprocess.run(argv, check=False, stdout=sys.stderr.fileno())
    return done.returncode == 0 and not missing(error.names)


def _become_root() -> tuple[str, ...] | None:
    """What comes before a command that root has to run; None where nobody can become root."""
    if os.geteuid() == 0:
        return ()
    return ("sudo",) if shutil.which("sudo") else None


def begin_anew() -> NoReturn:
    """Run what was typed once more, in this process's place. Raises OSError."""
    sys.stdout.flush()
    sys.stderr.flush()
    started, typed = executable(), sys.argv[1:]
    before = [str(started)] if started else [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(typed)]]
    os.execv(before[0], [*before, *typed])  # noqa: S606
