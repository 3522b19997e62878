"""The journal: one JSON line for everything that happened, progress apart."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from bootstrap.engine.events import ActionProgress, Event, event_as_data


class Journal:
    """Appends events to a file that only its owner reads. An observer; safe between threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        if isinstance(event, ActionProgress):
            return
        line = json.dumps(event_as_data(event), sort_keys=True) + "\n"
        with self._lock:
            os.write(self._handle, line.encode())

    def close(self) -> None:
        os.close(self._handle)
