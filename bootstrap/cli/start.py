"""The first lines of the command, and its last ones after Ctrl-C.

It imports nothing that takes time: Ctrl-C is answered in words from the first moment on.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import NoReturn

from bootstrap.cli.described import ASKED, UNREAD
from bootstrap.inherited import settle
from bootstrap.outside import guard_streams
from bootstrap.signals import end_interrupted

GARBAGE_AFTER = 50_000


def start() -> None:
    """Run the command line, as `bootstrap.cli.main.main` does."""
    # What a command makes it keeps to its end: looking for garbage as often as Python does finds none.
    gc.set_threshold(GARBAGE_AFTER)
    # No plug-in of another package has a word in how an inventory is read, and looking for one takes time.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        # A Ctrl-C that was blocked comes now.
        settle()
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Whoever started us may have said that one of them does not count, as nohup does.
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
        if ASKED in os.environ:
            complete()
        guard_streams()
        if sys.argv[1:] in (["--help"], ["-h"]):
            show_help()
        from bootstrap.cli.main import main

        main()
    except KeyboardInterrupt:
        end_interrupted()


def complete() -> NoReturn:
    """Answer a shell that completes a word. Nothing that takes time is imported for it; standard output is as it is,
    with tabs, and all that is written has been made safe."""
    from bootstrap.cli.described.shells import answer

    found = answer(os.environ)
    text, code = ("", 1) if found is None else found
    sys.stdout.write(text)
    sys.stdout.flush()
    # Nothing is left to be tidied up.
    os._exit(code)


def show_help() -> NoReturn:
    """List the commands, without importing what runs one."""
    import shutil

    from bootstrap.cli.described.pages import help_page
    from bootstrap.cli.described.tree import read_tree

    try:
        sys.stdout.write(help_page(read_tree(), shutil.get_terminal_size().columns))
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(UNREAD)
    except OSError as error:
        sys.stderr.write(f"the help can't be written: {error.strerror}\n")
        os._exit(1)
    sys.exit(0)
