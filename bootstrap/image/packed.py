"""A bundle as one file: its folder as a tar, without compression, so that everything in it is read where it stands.

What takes most room in a bundle is compressed already. Any tar unpacks the file to the folder that it was made of.
Source: POSIX.1-2001, pax(1), "ustar Interchange Format".
"""

from __future__ import annotations

import tarfile
from collections.abc import Container, Iterator, Mapping
from pathlib import Path, PurePosixPath

from bootstrap.content import Content

# Of everything in it: when it was packed says nothing, and the same bundle makes the same file.
TIME = 0
PIECE = 1 << 20
END = bytes(2 * tarfile.BLOCKSIZE)


def contents(file: Path) -> dict[str, Content]:
    """What stands in the file, by name. Raises OSError, and ValueError where it is no such file, a part of one, or one
    that another reader could take for something else."""
    found: dict[str, Content] = {}
    size, end = file.stat().st_size, 0
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                _require_plain(member, found)
                end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if end > size:
                    raise ValueError(f"it ends in the middle of {member.name}: {size} bytes are there")
                found[member.name] = Content(file, member.offset_data, member.size, member.name)
    except tarfile.TarError as error:
        raise ValueError(f"no bundle that was packed: {error}") from None
    with Content(file, end).open() as handle:
        if handle.read(len(END) + 1) != END:
            raise ValueError("its end is missing, or something stands behind it")
    return found


def _require_plain(member: tarfile.TarInfo, before: Container[str]) -> None:
    if not member.isreg():
        raise ValueError(f"{member.name} is no file")
    if member.name in before:
        raise ValueError(f"{member.name} stands in it twice")
    if member.name != PurePosixPath(member.name).as_posix() or not {"..", "/"}.isdisjoint(
        PurePosixPath(member.name).parts
    ):
        raise ValueError(f"{member.name} is a name that others read in another way")


def packed(parts: Mapping[str, Content | bytes], programs: Container[str]) -> Iterator[bytes]:
    """The file with these parts, by name and in this order, piece by piece; some of them are `programs`. Raises
    OSError, and ValueError where a part is shorter than it says."""
    for name, content in parts.items():
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = _size(content), TIME
        entry.mode = 0o755 if name in programs else 0o644
        yield entry.tobuf(tarfile.GNU_FORMAT)
        yield from (content,) if isinstance(content, bytes) else _data(name, content, entry.size)
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield END


def _size(content: Content | bytes) -> int:
    if isinstance(content, bytes):
        return len(content)
    return content.file.stat().st_size - content.begins if content.size is None else content.size


def _data(name: str, content: Content, size: int) -> Iterator[bytes]:
    left = size
    with content.open() as handle:
        while left and (piece := handle.read(min(left, PIECE))):
            left -= len(piece)
            yield piece
    if left:
        raise ValueError(f"{name} ends {left} bytes early")
