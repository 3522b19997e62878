"""Files that are written whole or not at all, where a person says: through links, and into devices and pipes, which are
never replaced by a file."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bootstrap.paths import private_folder

OWNERS_ALONE = 0o600
# What stands here is what this process has open already, be it a file.
_OPEN_HERE = ("/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, in a folder that is made where it is missing. Raises OSError."""
    private_folder(path.parent)
    write(path, content, OWNERS_ALONE)


def write(path: Path, content: bytes, mode: int = OWNERS_ALONE) -> None:
    """Write a file with that mode in a folder that is there. What a link leads to is written, the link stays; a device
    or a pipe gets the content. Raises OSError."""
    if _takes_a_stream(path):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        return
    place = _end_of_links(path)
    with _unfinished(place, content, mode) as unfinished:
        unfinished.replace(place)


def rewrite(path: Path, content: bytes, kept: int = stat.S_IRWXU) -> None:
    """Put the content into a file that is there, whole or not at all; its owner stays, and of its mode the bits that
    are in `kept`: what others may is none of them where nobody says so. Raises OSError."""
    place = _end_of_links(path)
    status = place.stat()
    with _unfinished(place, content, stat.S_IMODE(status.st_mode) & kept) as unfinished:
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(unfinished, status.st_uid, status.st_gid)
        unfinished.replace(place)


def write_once(path: Path, content: bytes) -> bytes:
    """Write a file that only its owner reads, unless it is there: the first of several writers wins, and each gets what
    is in the file then. Raises OSError."""
    private_folder(path.parent)
    with _unfinished(path, content, OWNERS_ALONE) as unfinished, suppress(FileExistsError):
        os.link(unfinished, path)
    return path.read_bytes()


def _takes_a_stream(path: Path) -> bool:
    """Whether a device, a pipe or a socket is there, or what this process has open (/dev/stdout)."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(None, "this is a folder", str(path))
    return not stat.S_ISREG(mode) or any(path.is_relative_to(place) for place in _OPEN_HERE)


def _end_of_links(path: Path) -> Path:
    """Where a link leads, which need not be there; the path itself where it is none."""
    return path.resolve() if path.is_symlink() else path


@contextmanager
def _unfinished(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """A file beside `path` with the content, on the disk; gone at the end, unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
