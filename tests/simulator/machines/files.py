"""A machine's files: what outlives a reboot, what a boot makes again, and what is not on the disk yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

KEPT = "/var/"


@dataclass(frozen=True)
class StoredFile:
    """Content and mode; `synced` where the disk has it as well."""

    content: bytes
    mode: int
    synced: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class Files:
    """All files of an installed system by absolute path."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}

    def get(self, path: str) -> StoredFile | None:
        return self._files.get(path)

    def content(self, path: str) -> bytes | None:
        found = self._files.get(path)
        return None if found is None else found.content

    def below(self, folder: str) -> dict[str, StoredFile]:
        return {path: file for path, file in self._files.items() if path.startswith(folder.rstrip("/") + "/")}

    def write(self, path: str, content: bytes, mode: int, *, synced: bool = False) -> None:
        self._files[path] = StoredFile(content, mode, synced)

    def append(self, path: str, content: bytes) -> None:
        before = self._files[path]
        self._files[path] = StoredFile(before.content + content, before.mode)

    def change_mode(self, path: str, mode: int) -> None:
        self._files[path] = replace(self._files[path], mode=mode)

    def rename(self, path: str, to: str) -> None:
        self._files[to] = self._files.pop(path)

    def remove(self, path: str) -> None:
        self._files.pop(path, None)

    def sync(self, path: str | None = None) -> None:
        """One file, or all, as they are now: on the disk."""
        for name in list(self._files) if path is None else [path]:
            self._files[name] = replace(self._files[name], synced=True)

    def shut_down(self) -> None:
        """An orderly end: all that outlives it is on the disk."""
        self.sync()
        self.lose_power()

    def lose_power(self) -> None:
        """What was not on the disk yet is empty, as after a rename whose data had still to be written; what is not kept
        at all is gone."""
        self._files = {
            path: file if file.synced else StoredFile(b"", file.mode, synced=True)
            for path, file in self._files.items()
            if path.startswith(KEPT)
        }
