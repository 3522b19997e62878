"""Programs that inherit what their test says: signals that are ignored or blocked, a umask, closed descriptors."""

from __future__ import annotations

import sys

BEGIN = """\
import os, signal, sys
{}
os.execvp(sys.argv[1], sys.argv[1:])
"""


def inheriting(*settings: str) -> list[str]:
    """What comes before a command that is to inherit the `settings`, lines of Python (`os`, `signal` are there)."""
    return [sys.executable, "-c", BEGIN.format("\n".join(settings))]


def ignoring(*signals: str) -> str:
    """A setting: these signals are ignored, as in HUP."""
    return "".join(f"signal.signal(signal.SIG{name}, signal.SIG_IGN); " for name in signals)


def blocking(*signals: str) -> str:
    """A setting: these signals are blocked, as in TERM."""
    return f"signal.pthread_sigmask(signal.SIG_BLOCK, [{', '.join(f'signal.SIG{name}' for name in signals)}])"


def with_umask(umask: int) -> str:
    """A setting: what is made lacks these permissions."""
    return f"os.umask({umask:#o})"
