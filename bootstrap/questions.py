"""Questions to a person on the terminal. Whoever draws there stops for as long as one is asked, and one is asked at a
time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

Pause = Callable[[], AbstractContextManager[object]]
_drawing: list[Pause] = []
_asking = threading.Lock()


@contextmanager
def drawing(pause: Pause) -> Iterator[None]:
    """While the context lasts, `pause` is entered for each question."""
    _drawing.append(pause)
    try:
        yield
    finally:
        _drawing.remove(pause)


@contextmanager
def asking() -> Iterator[None]:
    """While the context lasts, a person can read and type: nothing else is drawn, and nobody else asks."""
    with _asking, ExitStack() as stopped:
        for pause in tuple(_drawing):
            stopped.enter_context(pause())
        yield
