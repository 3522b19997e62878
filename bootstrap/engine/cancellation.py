"""How what is under way is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cancellation:
    """`interrupted`: begin nothing new. `abort`: end waits, transfers and commands as well. `hold` is asked
    before anything is begun: nothing is for as long as it answers yes."""

    interrupted: threading.Event = field(default_factory=threading.Event)
    abort: threading.Event = field(default_factory=threading.Event)
    hold: Callable[[], bool] = lambda: False
