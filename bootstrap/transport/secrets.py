"""Where passwords and passphrases come from: never the inventory, never argv."""

from __future__ import annotations

import getpass
import os
import stat
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from bootstrap.errors import BadUse
from bootstrap.outside import on_one_line
from bootstrap.paths import expanded
from bootstrap.questions import asking


def secret_source(source: str, what: str) -> Callable[[], str]:
    """A function that returns the secret, read on its first call and kept in memory for the next ones.

    `source` is `env:NAME`, `file:PATH` (its first line; not readable by others) or `prompt` (asked on the
    terminal without echo). `what` completes "the ...", as in "password of node1". Raises BadUse here when
    `source` has another form, and from the returned function when the secret can't be had.
    """
    kind, _, name = source.partition(":")
    readers: dict[str, Callable[[], str]] = {
        "env": lambda: _from_environment(name, what),
        "file": lambda: _from_file(expanded(name), what),
        "prompt": lambda: _from_terminal(what),
    }
    if kind not in readers or bool(name) is (kind == "prompt"):
        raise BadUse(
            f"the source of the {what} is not understood",
            hint="write env:NAME, file:PATH or prompt; never the secret itself",
        )
    if kind == "prompt":
        return _asked_once(what)
    return _once(readers[kind])


@cache
def _asked_once(what: str) -> Callable[[], str]:
    """A person is asked once for each secret, however often a command looks."""
    return _once(lambda: _from_terminal(what))


def _once(read: Callable[[], str]) -> Callable[[], str]:
    lock = threading.Lock()
    kept: list[str] = []

    def secret() -> str:
        with lock:
            if not kept:
                kept.append(read())
            return kept[0]

    return secret


def _from_environment(name: str, what: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise BadUse(
            f"the {what} is to come from the environment variable {name}, which is not set",
            hint=f"export {name}, or choose file:PATH or prompt",
        )
    return value


def _from_file(path: Path, what: str) -> str:
    try:
        with path.open(encoding="utf-8") as handle:
            if stat.S_IMODE(os.fstat(handle.fileno()).st_mode) & 0o007:
                raise BadUse(f"{path} holds the {what} and anyone may read it", hint=f"chmod 600 {path}")
            value = handle.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise BadUse(
            f"the {what} is to come from {path}, which can't be read: {reason}",
            hint="put the secret on the file's first line, mode 0600",
        ) from None
    if not value:
        raise BadUse(f"the {what} is to come from {path}, whose first line is empty", hint="write the secret there")
    return value


def _from_terminal(what: str) -> str:
    if not sys.stdin.isatty():
        raise BadUse(
            f"the {what} is to be asked for, and there is no terminal to ask on",
            hint="run it in a terminal, or choose env:NAME or file:PATH",
        )
    try:
        with asking():
            return getpass.getpass(on_one_line(f"{what[0].upper()}{what[1:]}: "))
    except EOFError:
        raise BadUse(f"the {what} was not given", hint="run again and type it") from None
