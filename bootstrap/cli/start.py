"""The first lines of the command, and its last ones after Ctrl-C.

It imports nothing that takes time: Ctrl-C is answered in words from the first moment on.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from bootstrap.inherited import settle
from bootstrap.outside import guard_streams

GARBAGE_AFTER = 50_000
INTERRUPTED = "interrupted: run the same command again, it goes on from what is true by then"


def start() -> None:
    """Run the command line, as `bootstrap.cli.main.main` does."""
    # What a command makes it keeps to its end: looking for garbage as often as Python does finds none.
    gc.set_threshold(GARBAGE_AFTER)
    # No plug-in of another package has a word in how an inventory is read, and looking for one takes time.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        # A Ctrl-C that was blocked comes now.
        settle()
        guard_streams()
        from bootstrap.cli.main import main

        main()
    except KeyboardInterrupt:
        end_interrupted()


def end_interrupted() -> NoReturn:
    """End with exit code 130 and one line that says how to go on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whoever read our output may be gone, as Ctrl-C ends all of a pipe.
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        # On a terminal the cursor stands behind "^C".
        sys.stderr.write(("\n" if sys.stderr.isatty() else "") + f"{INTERRUPTED}\n")
        sys.stderr.flush()
    # Questions under way, to nodes that don't answer or to a person, would keep the process.
    os._exit(130)
