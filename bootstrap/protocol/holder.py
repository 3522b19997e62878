"""Who holds a lock: whoever does says so in a note that others read.

A note's `since` is for people: no clock of an operator's machine decides anything.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from bootstrap.outside import parsed_json


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, and what it is held for. `since` is ISO 8601, by the holder's own clock; `cluster` may be
    empty."""

    who: str
    host: str
    pid: int
    since: str
    doing: str
    cluster: str = ""

    @classmethod
    def now(cls, doing: str, cluster: str = "") -> Holder:
        """This process, from now on."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(_user(), socket.gethostname(), os.getpid(), since, doing, cluster)

    def __str__(self) -> str:
        return f"{self.who} on {self.host} (process {self.pid}) since {self.since}: {self.doing}"

    def note(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def holder_in_words(note: bytes) -> str:
    """Whose note it is, in words; a note that can't be read is said to be one."""
    try:
        fields = parsed_json(note)
        return str(Holder(**{name: fields[name] for name in Holder.__dataclass_fields__ if name in fields}))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "somebody who has not said yet who it is"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A number without a name in the user database, as in a container.
        return f"user {os.getuid()}"
