"""Runs on a server: prints the members of etcd as its own data keep them, as JSON: {"8e9e05c52164694d": true}, the
member's id and whether it is a learner there.

Its text is sent to the node's Python (`bootstrap.facts.votes`), and is of the standard library alone. etcd serves the
members out of another, older store until 3.6, so that asking it does not tell. The database is read while etcd has it
open: a page that its newest header leads to is not written again before a further transaction, and what was read
counts when the header is the same afterwards.
Source: https://github.com/etcd-io/bbolt/blob/main/internal/common/page.go (and meta.go, inode.go, bucket.go)
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

DATABASE = "/var/lib/etcd/member/snap/db"
TRIES = 50
PAGE_HEADER = struct.Struct("<QHHI")
META = struct.Struct("<IIIIQQQQQQ")
LEAF = struct.Struct("<IIII")
BRANCH = struct.Struct("<IIQ")
BUCKET = struct.Struct("<QQ")
MAGIC, VERSION = 0xED0CDAED, 2
BRANCHES, LEAVES = 1, 2
IS_BUCKET = 1
# Where the second header is, by the size of pages on the machine that made the file.
PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)
DEEPEST = 32


class NotReadable(Exception):
    """What is there is no database, or it changed while it was read."""


def stored_learners(path: str) -> dict[str, bool]:
    """The members in the database at `path`, by id, and whether each is a learner. Raises OSError, and NotReadable
    when it holds no members or changes each time that it is read."""
    failed = "no members"
    with Path(path).open("rb", buffering=0) as file:
        for _ in range(TRIES):
            try:
                meta = _newest(file)
                found = {
                    key.decode(): bool(json.loads(value).get("isLearner", False))
                    for key, value in _bucket(file, meta, b"members")
                }
                if _newest(file) == meta:
                    return found
                failed = "it changed while it was read"
            except (NotReadable, struct.error, ValueError, AttributeError) as error:
                failed = str(error)
    raise NotReadable(failed)


def _newest(file: BinaryIO) -> tuple[int, int, int]:
    """The transaction, the root's page and the size of pages, of the newer header that is whole."""
    # The first is at the beginning, the second one page after it.
    found = [
        meta
        for place in (0, *PAGE_SIZES)
        if (meta := _meta(_at(file, place, PAGE_SIZES[0]))) is not None and place in (0, meta[2])
    ]
    if not found:
        raise NotReadable("no header of a bbolt database")
    return max(found)


def _meta(page: bytes) -> tuple[int, int, int] | None:
    if len(page) < PAGE_HEADER.size + META.size:
        return None
    magic, version, size, _, root, _, _, _, transaction, checksum = META.unpack_from(page, PAGE_HEADER.size)
    body = page[PAGE_HEADER.size : PAGE_HEADER.size + META.size - 8]
    whole = magic == MAGIC and version == VERSION and size in PAGE_SIZES and _fnv1a(body) == checksum
    return (transaction, root, size) if whole else None


def _fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash, with which headers are checked."""
    found = 0xCBF29CE484222325
    for byte in data:
        found = ((found ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return found


def _bucket(file: BinaryIO, meta: tuple[int, int, int], name: bytes) -> Iterator[tuple[bytes, bytes]]:
    _, root, size = meta
    for flags, key, value in _leaves(file, _page(file, root, size), size, DEEPEST):
        if key == name and flags & IS_BUCKET:
            page = BUCKET.unpack_from(value)[0]
            # A small bucket stands in its parent, behind its header.
            inside = _page(file, page, size) if page else value[BUCKET.size :]
            for _, inner, content in _leaves(file, inside, size, DEEPEST):
                yield inner, content
            return
    raise NotReadable("no members in it")


def _leaves(file: BinaryIO, page: bytes, size: int, depth: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Flags, keys and values of all leaves below a page."""
    _, kind, count, _ = PAGE_HEADER.unpack_from(page)
    if depth == 0 or kind not in (BRANCHES, LEAVES):
        raise NotReadable("a page that is no branch and no leaf")
    for number in range(count):
        at = PAGE_HEADER.size + number * LEAF.size
        if kind == BRANCHES:
            yield from _leaves(file, _page(file, BRANCH.unpack_from(page, at)[2], size), size, depth - 1)
        else:
            flags, offset, key, value = LEAF.unpack_from(page, at)
            begin = at + offset
            yield flags, page[begin : begin + key], page[begin + key : begin + key + value]


def _page(file: BinaryIO, number: int, size: int) -> bytes:
    further = PAGE_HEADER.unpack_from(_at(file, number * size, PAGE_HEADER.size))[3]
    # Lists of members are short; a page that is said to be longer than that is no page.
    if further > 1024:
        raise NotReadable("a page that is too long")
    return _at(file, number * size, (further + 1) * size)


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def main(arguments: list[str]) -> int:
    """Print what the database holds. 1 when it can't be read, with why on standard error."""
    try:
        print(json.dumps(stored_learners(arguments[0] if arguments else DATABASE)))
    except (OSError, NotReadable) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
