"""The first lines of the command, and its last ones after Ctrl-C.

It imports nothing that takes time: Ctrl-C is answered in words from the first moment on.
"""

from __future__ import annotations

import gc
import os

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
        guard_streams()
        from bootstrap.cli.main import main

        main()
    except KeyboardInterrupt:
        end_interrupted()
