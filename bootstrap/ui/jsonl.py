"""A run for machines: one JSON object a line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from bootstrap.engine.events import Event, event_as_data


class JsonObserver:
    """Writes every event as a line of JSON. Safe between threads."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        line = json.dumps(event_as_data(event), sort_keys=True) + "\n"
        with self._lock:
            self._write(line)
