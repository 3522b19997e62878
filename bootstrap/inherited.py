"""What a process inherits from whoever starts it, put right where it would change what a command does.

A program may start clusterup with signals ignored or blocked, with a umask or in a locale that no command reckons with.
What a person wants by it stays: `nohup` outlives a hang-up, a strict umask keeps others out.

It imports nothing that takes time: it runs before everything else.
"""

from __future__ import annotations

import locale
import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper

UTF_8 = ("C.UTF-8", "en_US.UTF-8")
# Ignored, SIGCHLD has every program that fails pass for one that succeeds (waitpid(2) has nothing to tell then), and
# SIGTERM keeps programs running that were told to end. Both go on to what is started.
NEVER_IGNORED = (signal.SIGCHLD, signal.SIGTERM)
OWNER = 0o700
# A cache that others may write to runs their programs.
OTHERS_WRITE = 0o022


def settle() -> None:
    """Put this process, and so what it starts, into a state that commands can rely on: no signal is blocked, programs
    that end are noticed, what is written can be read by its owner and changed by no one else, text in files is UTF-8,
    and each line of the output is out when it is said."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in NEVER_IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    os.umask(os.umask(0o077) & ~OWNER | OTHERS_WRITE)
    _read_text_as_utf_8()
    _write_line_by_line()


def _write_line_by_line() -> None:
    """Whoever reads from a pipe has each line when it is said (`apply -o json`, `| tee`): Python would keep them until
    there are 8 KiB, unless PYTHONUNBUFFERED is set."""
    for stream in (sys.stdout, sys.stderr):
        # None where the descriptor was closed.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def _read_text_as_utf_8() -> None:
    """What Python takes text of files and programs for (LC_CTYPE), where the locale has another encoding. Standard
    output keeps that of the terminal."""
    if locale.getencoding().lower().replace("-", "") == "utf8":
        return
    for name in UTF_8:
        with suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)
            return
