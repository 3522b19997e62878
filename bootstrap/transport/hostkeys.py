"""The host keys that nodes have shown once, or were given by us: a JSON file in clusterup's state.

A node has up to one key of each kind: "live" (the starting environment) and "installed" (the micro OS).
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import os
import tempfile
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from bootstrap.errors import BadUse
from bootstrap.locks import waiting_lock

Pins = dict[str, dict[str, str]]


class HostKeys:
    """Pinned host keys: {node: {kind: "ssh-ed25519 AAAA..."}}. Safe between threads and processes.

    The file is read at every use and replaced as a whole (mode 0600), so that a crash leaves the old one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: tuple[bytes, Pins] | None = None

    def pinned(self, node: str) -> dict[str, str]:
        """The public key lines pinned for a node, by kind; empty where there are none."""
        return dict(self._read().get(node, {}))

    def all_pinned(self) -> Pins:
        """The public key lines of every node, by kind."""
        return copy.deepcopy(self._read())

    def pin(self, node: str, kind: str, public_line: str) -> None:
        """Remember a key, in place of the one of that kind. Raises BadUse when it is not a public key line."""
        self.pin_all(kind, {node: public_line})

    def pin_all(self, kind: str, public_lines: Mapping[str, str]) -> None:
        """Remember keys of several nodes, as `pin` does, and write the file once."""
        lines = {node: public_key(line) for node, line in public_lines.items()}
        if not lines:
            return
        with self._locked():
            pins = copy.deepcopy(self._read())
            for node, line in lines.items():
                pins.setdefault(node, {})[kind] = line
            self._write(pins)

    def forget(self, node: str, kind: str) -> None:
        """Drop a key; nothing happens where there is none."""
        with self._locked():
            pins = copy.deepcopy(self._read())
            if pins.get(node, {}).pop(kind, None) is None:
                return
            if not pins[node]:
                del pins[node]
            self._write(pins)

    def _read(self) -> Pins:
        """The pins in the file, which no one may change."""
        try:
            content = self.path.read_bytes()
            kept = self._kept
            if kept is not None and kept[0] == content:
                return kept[1]
            data = json.loads(content)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise BadUse(
                f"the pinned host keys in {self.path} can't be read",
                got=str(error),
                hint="repair the file, or move it away: every node's host key is then to be confirmed again",
            ) from None
        if not _is_pins(data):
            raise BadUse(
                f"{self.path} is not a file of pinned host keys",
                hint="repair the file, or move it away: every node's host key is then to be confirmed again",
            )
        pins = dict(data)
        self._kept = (content, pins)
        return pins

    def _write(self, pins: Pins) -> None:
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        unfinished = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
                json.dump(pins, handle, indent=2, sort_keys=True)
                handle.write("\n")
                handle.flush()
                os.fsync(handle.fileno())
            unfinished.replace(self.path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _locked(self) -> AbstractContextManager[object]:
        return waiting_lock(self.path.with_name(f".{self.path.name}.lock"))


class PassingHostKeys(HostKeys):
    """The pins in the file, and those that are believed for as long as this lives; the file stays as it is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._believed: Pins | None = None
        self._guard = threading.RLock()

    def _read(self) -> Pins:
        return super()._read() if self._believed is None else self._believed

    def _write(self, pins: Pins) -> None:
        self._believed = pins

    def _locked(self) -> AbstractContextManager[object]:
        return self._guard


def public_key(line: str) -> str:
    """A public key line reduced to "type base64". Raises BadUse when it isn't one (RFC 4253, section 6.6)."""
    fields = line.split()
    try:
        blob = base64.b64decode(fields[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        named = blob[4 : 4 + length].decode("ascii")
    except (IndexError, binascii.Error, UnicodeDecodeError):
        named = ""
    if not named or named != fields[0]:
        raise BadUse(
            f"not a public host key: {line.strip()[:60]!r}",
            hint="copy the line of /etc/ssh/ssh_host_ed25519_key.pub on the node: 'ssh-ed25519 AAAA...'",
        )
    return f"{fields[0]} {fields[1]}"


def _is_pins(data: object) -> bool:
    return isinstance(data, dict) and all(
        isinstance(kinds, dict) and all(_is_key(line) for line in kinds.values()) for kinds in data.values()
    )


def _is_key(line: object) -> bool:
    try:
        return isinstance(line, str) and public_key(line) == line
    except BadUse:
        return False
