"""What a run of the tests inherits from whoever starts it, put into one known state: signals, the umask, the
environment, the home and the temporary folder, standard input, limits.

A shell in the background has Ctrl-C ignored, nohup a hang-up, another program blocks signals; one person has a strict
umask, a proxy or a locale, another machine no home: the result is the same. `tests/conftest.py` has it as a plugin: it
comes before anything is collected, in each process of a run.
"""

from __future__ import annotations

import atexit
import fcntl
import locale
import os
import pwd
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

# What stays of the environment: where programs and libraries are, how the network is reached (pip and apt in the
# image's build), what pytest and its like go by, what the tests themselves are told. All else is of whoever started
# them: KUBECONFIG, SSH_AUTH_SOCK, ETCD_*, LESS, COLUMNS, NO_COLOR, PYTHON*, XDG_*, a token.
KEPT = {
    *("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"),
    *("PYTHONPYCACHEPREFIX", "APT_CONFIG", "DEBIAN_FRONTEND"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *(f"{scheme}_proxy" for scheme in ("http", "https", "ftp", "all", "no")),
    *(f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "FTP", "ALL", "NO")),
    *("CLUSTERUP_INVENTORIES", "CLUSTERUP_SEED", "CLUSTERUP_KILLS", "CLUSTERUP_KILL_SECONDS"),
    "CLUSTERUP_SSH_CONFIGS",
}
KEPT_PREFIXES = ("PIP_", "PYENV_", "PYTEST_", "HYPOTHESIS_", "COV_", "COVERAGE_", "CLUSTERUP_TEST_", "CLUSTERUP_E2E_")
SET = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm", "SHELL": "/bin/sh"}
LOOPBACK = "localhost,127.0.0.1,::1"
# Python ignores these by itself; what it starts has them as they should be.
IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
# Tests put Unix sockets up to 80 letters further down, and a path to one has 107 letters at most (unix(7)).
LONGEST_TMPDIR = 16
FILES = 4096
PREFIX, STAY = "cu", 2
OWN = "CLUSTERUP_TEST_RUN"
WORKER = "PYTEST_XDIST_WORKER"


def settle() -> None:
    """Put this process into the known state. What it starts from now on inherits that."""
    settle_signals()
    os.umask(0o022)
    settle_limits()
    settle_descriptors()
    # The processes of pytest-xdist have the environment of the one that starts them, and share its folder.
    if WORKER not in os.environ:
        known = known_environment(os.environ, own_folder(os.environ))
        os.environ.clear()
        os.environ.update(known)
    # What Python reads of these when it starts, it takes again. Hundreds of commands start: none compiles all again.
    sys.dont_write_bytecode = False
    tempfile.tempdir = None
    time.tzset()
    locale.setlocale(locale.LC_ALL, "C.UTF-8")


def settle_signals() -> None:
    """Nothing is blocked, and what is started ignores no signal. A hang-up that this process was told to outlive
    (nohup) still does not end it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - IGNORED_BY_PYTHON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            continue
        if number == signal.SIGHUP:
            # Unlike what is ignored, what is handled is not a concern of programs that are started.
            signal.signal(number, lambda *_: None)
        else:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def settle_limits() -> None:
    """As many files may be open as a fleet of simulated nodes needs, where the machine lets them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def settle_descriptors() -> None:
    """Standard input is at its end, whether it was closed, a terminal or a pipe; nothing that is opened later becomes
    standard output or standard error."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    for standard in (1, 2):
        try:
            os.fstat(standard)
        except OSError:
            os.dup2(null, standard)
    if null > 2:
        os.close(null)


def known_environment(inherited: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of the tests: what is kept of the inherited one, and what is always so. Home and temporary
    files are in the `folder`; the cache is the user's."""
    known = {name: value for name, value in inherited.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
    for name in ("no_proxy", "NO_PROXY"):
        known[name] = ",".join(filter(None, (inherited.get(name), LOOPBACK)))
    own = {"HOME": str(folder / "home"), "TMPDIR": str(folder), OWN: str(folder)}
    known.setdefault("PATH", os.defpath)
    return known | SET | own | {"XDG_CACHE_HOME": str(cache_of_the_user(inherited))}


def cache_of_the_user(inherited: Mapping[str, str]) -> Path:
    """Where what takes long to build is kept between runs: as clusterup has it, and where the home that is named is
    none, below the user database's."""
    if inherited.get("XDG_CACHE_HOME"):
        return Path(inherited["XDG_CACHE_HOME"])
    home = inherited.get("HOME", "")
    if not os.access(home, os.R_OK | os.X_OK):
        home = pwd.getpwuid(os.getuid()).pw_dir
    return Path(home) / ".cache"


def own_folder(inherited: Mapping[str, str]) -> Path:
    """A folder of this run alone, with an empty home, for all temporary files: another run that begins closes the
    folder that pytest shares between runs to the users whom tests make. It is in TMPDIR, where sockets can be."""
    place = inherited.get("TMPDIR", "")
    fits = 0 < len(place) <= LONGEST_TMPDIR and os.access(place, os.W_OK | os.X_OK)
    where = Path(place).resolve() if fits else Path("/tmp")
    remove_all_but_the_last(where)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
    folder.chmod(0o755)
    (folder / "home").mkdir(mode=0o700)
    # For as long as this process is there. What it starts does not have it.
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
    return folder


def remove_all_but_the_last(where: Path) -> None:
    """What earlier runs of this user left that failed or were killed; the last two stay, and those under way."""
    own = [
        (stat.st_mtime, path)
        for path in where.glob(f"{PREFIX}*")
        if (path / "home").is_dir() and (stat := path.stat()).st_uid == os.getuid()
    ]
    for _, path in sorted(own)[:-STAY]:
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)
        shutil.rmtree(path, ignore_errors=True)


def pytest_sessionfinish(exitstatus: int) -> None:
    """What a run leaves that failed is kept, to be looked at."""
    # A folder of one own run that is nested in another has been settled again.
    if WORKER not in os.environ and exitstatus == pytest.ExitCode.OK:
        atexit.register(shutil.rmtree, os.environ[OWN], ignore_errors=True)


settle()
