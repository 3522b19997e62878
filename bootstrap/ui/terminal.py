"""Tables and live lines on a terminal, in which no text from outside is more than text.

Rich writes sequences of its own, to move the cursor and to colour, and so can't go through the guarded streams. Text
that it is given is made safe twice: cells where they are made (`text`), so that their widths are right, and whatever
comes out of any renderable, so that no way leads around it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.file_proxy import FileProxy
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from bootstrap.outside import in_lines, on_one_line, safe_stream, unguarded

NEEDED = "✓✗…"
"""Letters that a live view is drawn with."""
LONGEST_LINE = 1000


class SafeConsole(Console):
    """A console that knows no markup, and that lets nothing through which a terminal would act upon but what Rich
    itself writes. `file` is where it writes, standard output by default."""

    def __init__(self, file: TextIO | None = None, **settings: Any) -> None:
        super().__init__(file=unguarded(file or sys.stdout), markup=False, emoji=False, highlight=False, **settings)
        if "width" not in settings and not self.is_terminal and "COLUMNS" not in os.environ:
            # A program that reads lines, as grep, wants each of them whole.
            self.width = LONGEST_LINE

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As Rich renders it, the text in it made safe; links are not text, and left out."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(in_lines(segment.text), _without_link(segment.style))


def text(shown: object, style: str = "") -> Text:
    """What stands in one line or cell, never read as markup."""
    return Text(on_one_line(str(shown)), style)


def moves_its_cursor(console: Console) -> bool:
    """Whether a live view can be drawn on it."""
    try:
        NEEDED.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def written_above(console: Console) -> Iterator[None]:
    """Have what is written to standard output and standard error meanwhile shown above the live view on `console`. It
    is made safe before Rich takes it apart, which would read colours and links out of it."""
    before = sys.stdout, sys.stderr

    def above(stream: TextIO) -> TextIO:
        shared = console.is_terminal and stream.isatty()
        return safe_stream(cast(TextIO, FileProxy(console, unguarded(stream)))) if shared else stream

    sys.stdout, sys.stderr = map(above, before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def _without_link(style: Style | None) -> Style | None:
    return style.update_link(None) if style is not None and style.link else style
