"""Bytes that lie in a file, all of it or a stretch: what is read of a bundle that is a folder, or one file."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Content:
    """`size` bytes of `file` from the offset `begins` on; to its end where no size is said. Where it stands is written
    as a person finds it: the file, and in it the name `inside`."""

    file: Path
    begins: int = 0
    size: int | None = None
    inside: str = ""

    def __str__(self) -> str:
        return f"{self.inside} in {self.file}" if self.inside else str(self.file)

    @property
    def name(self) -> str:
        """The last part of what it is called."""
        return Path(self.inside or self.file).name

    @property
    def is_whole_file(self) -> bool:
        """Whether the file is nothing but these bytes."""
        return self.begins == 0 and not self.inside

    def open(self) -> io.BufferedReader:
        """The bytes, to be read and sought in; 0 is where they begin. A file that ends early is read to there. Raises
        OSError."""
        handle = self.file.open("rb", buffering=0)
        end = os.fstat(handle.fileno()).st_size
        size = end - self.begins if self.size is None else min(self.size, end - self.begins)
        return io.BufferedReader(_Stretch(handle, self.begins, max(0, size)))


def content_of(source: Path | Content) -> Content:
    """The whole of a file, where it is a file that is named."""
    return source if isinstance(source, Content) else Content(source)


class _Stretch(io.RawIOBase):
    """A stretch of an open file, which it closes."""

    def __init__(self, handle: io.FileIO, begins: int, size: int) -> None:
        self._handle, self._begins, self._size, self._at = handle, begins, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        self._handle.seek(self._begins + self._at)
        data = self._handle.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()
