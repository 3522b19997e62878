"""Secrets of a folder as they are to be: what lies on the disk, and what was made and is still to be written.

Looking at a cluster needs certificates that may not be there yet, and must leave the folder as it is. So what is
missing is made in memory, and whoever acts writes it (`Vault.write`), all of it or nothing: it lies in one file before
the first of its files is written, so that whoever comes after a power cut goes on with the very same keys.

No private key that exists is overwritten: one that can't be used is set aside under another name.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bootstrap.errors import BadUse, Refused
from bootstrap.locks import waiting_lock
from bootstrap.pki.store import read_if_there, read_note
from bootstrap.written import write_private

# What was made and is being written; gone as soon as all of it has its own name.
UNFINISHED = ".unfinished.json"
PUBLIC = (".crt", ".pub")


class Vault:
    """The files below `folder`, by their names in it ("pki/ca.crt"). Safe between threads.

    `lock` is the file whose lock is held while something is written.
    """

    def __init__(self, folder: Path, lock: Path) -> None:
        # Held by whoever makes several files that belong together.
        self.folder = folder
        self._lock = lock
        self.guard = threading.RLock()
        self._made: dict[str, bytes] = {}
        self._before: dict[str, bytes | None] = {}
        self._looked = False

    def read(self, name: str) -> bytes | None:
        """What the file holds, or will hold when it is written; None where there is none. Raises BadUse where it can't
        be read."""
        with self.guard:
            self._take_up()
            return self._made[name] if name in self._made else self._on_disk(name)

    def make(self, name: str, content: bytes) -> bytes:
        """Let the file hold `content` from now on; it is written by `write`. Returns the content."""
        with self.guard:
            self._take_up()
            self._before.setdefault(name, self._on_disk(name))
            self._made[name] = content
            return content

    def keep(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What the file holds; made where there is none. All threads that ask get the same."""
        with self.guard:
            found = self.read(name)
            return self.make(name, make()) if found is None else found

    def names(self, folder: str) -> tuple[str, ...]:
        """The names of all files below a folder, in order: of those on the disk and of those still to be written."""
        with self.guard:
            self._take_up()
            base = self.folder / folder
            there = {path.relative_to(self.folder).as_posix() for path in base.rglob("*") if path.is_file()}
            return tuple(sorted(there | {name for name in self._made if name.startswith(f"{folder}/")}))

    @property
    def made(self) -> tuple[str, ...]:
        """The names of what is still to be written, in order."""
        with self.guard:
            self._take_up()
            return tuple(sorted(self._made))

    @property
    def overtaken(self) -> bool:
        """Whether somebody else has written one of these files since it was made here."""
        with self.guard:
            return any(self._moved(name) for name in self._made)

    def write(self) -> None:
        """Write what was made. Raises Refused, and writes nothing, where somebody else wrote one of these files first;
        OSError."""
        with self.guard:
            self._take_up()
            if not self._made:
                return
            with waiting_lock(self._lock):
                self._write()
            self._made.clear()
            self._before.clear()

    def _write(self) -> None:
        moved = [name for name in self._made if self._moved(name)]
        if moved:
            raise Refused(
                "another clusterup has made keys for this cluster meanwhile; nothing was written",
                step="keys",
                tried=f"write {moved[0]} below {self.folder}",
                got="another one is there by now",
                hint="run the same command again: it goes on with the keys that are there",
            )
        unfinished = self.folder / UNFINISHED
        data = {name: {"is": text.decode(), "was": _digest(self._before[name])} for name, text in self._made.items()}
        write_private(unfinished, json.dumps(data).encode())
        _sync(self.folder)
        for name, content in self._made.items():
            path = self.folder / name
            there = self._on_disk(name)
            if there == content:
                continue
            if there is not None and not name.endswith(PUBLIC):
                set_aside(path)
            write_private(path, content)
        for folder in sorted({(self.folder / name).parent for name in self._made}):
            _sync(folder)
        unfinished.unlink()

    def _moved(self, name: str) -> bool:
        return self._on_disk(name) not in (self._before[name], self._made[name])

    def _take_up(self) -> None:
        """Go on with what somebody was writing when they were interrupted, as far as no one else has written those
        files since."""
        if self._looked:
            return
        self._looked = True
        for name, (content, was) in _unfinished(self.folder).items():
            there = self._on_disk(name)
            if there == content or _digest(there) == was:
                self._made[name] = content
                self._before[name] = there

    def _on_disk(self, name: str) -> bytes | None:
        return read_note(self.folder / name)


def set_aside(path: Path) -> None:
    """Rename a file that makes room for another one. Raises OSError."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    path.rename(path.with_name(f"{path.name}.set-aside-{stamp}"))


def _unfinished(folder: Path) -> Mapping[str, tuple[bytes, str]]:
    """What was being written when somebody was interrupted, and the digest of what was there before. That file has its
    name only when it is whole."""
    path = folder / UNFINISHED
    try:
        content = read_if_there(path)
        data = json.loads(content) if content is not None else {}
        return {str(name): (str(entry["is"]).encode(), str(entry["was"])) for name, entry in data.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise BadUse(
            f"{path} can't be read: keys that were being written when clusterup was interrupted",
            step="state",
            tried="go on with them",
            got=getattr(error, "strerror", None) or "its content is damaged",
            hint=f"if no node has them yet, move it away: mv {path} {path}.damaged; if the cluster runs, bring the "
            "state back from a server after that: clusterup adopt root@SERVER",
        ) from None


def _digest(content: bytes | None) -> str:
    """SHA-256; empty for a file that is not there."""
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk (fsync(2))."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
