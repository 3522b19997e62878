"""Putting a file on a node so that it is there whole or not at all, whatever happens on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bootstrap.content import Content, content_of
from bootstrap.errors import ClusterupError
from bootstrap.transport.base import Command, Progress, Transport
from bootstrap.transport.errors import TransferDamaged

if TYPE_CHECKING:
    from hashlib import _Hash

PIECE = 128 * 1024
SLOWEST_HASH = 2_000_000
"""Bytes a second that the slowest node hashes: what the time-outs reckon with."""
SLOWEST_LINE = 50_000
"""Bytes a second of the slowest line that a transfer is given time for."""

# One round trip: "file SHA" when the file is there in the right size, else "part SIZE SHA" of what is begun.
_LOOK = """\
command -v sha256sum >/dev/null 2>&1 || {{ echo "sha256sum is missing" >&2; exit 127; }}
final={} size={}
if [ -f "$final" ] && [ "$(wc -c <"$final")" -eq "$size" ]; then
    echo "file $(sha256sum <"$final")"
fi
if [ -f "$final.part" ]; then
    echo "part $(wc -c <"$final.part") $(sha256sum <"$final.part")"
fi
"""
_BEGIN = 'mkdir -p "$(dirname {0})" && umask 077 && cat >{0}.part'
_CONTINUE = "umask 077; cat >>{0}.part"
_HASH = "sha256sum <{0}.part"
# The name promises the content, as that of a payload does: it is on the disk before, should the power go now.
_PLACE = "chmod {1} {0}.part && sync {0}.part && mv -f {0}.part {0}"
_MODE = "chmod {1} {0}"
_DROP = "rm -f {0}.part"


def upload(
    transport: Transport,
    source: Path | Content,
    destination: str,
    *,
    sha256: str,
    mode: int,
    progress: Progress,
    slowest: int = SLOWEST_LINE,
) -> None:
    """Put `source` at `destination` with permission bits `mode`; see `Transport.upload`. `slowest`: bytes a second that
    the line carries at the very least.

    A file already there with the right hash is left (its mode is set); a part left by an earlier upload is
    continued when it is a true beginning of `source`.
    """
    content = content_of(source)
    try:
        with content.open() as handle:
            total = handle.seek(0, os.SEEK_END)
            handle.seek(0)
            _Upload(transport, handle, content, destination, sha256.lower(), f"{mode:04o}", total, slowest).send(
                progress
            )
    except OSError as error:
        raise ClusterupError(
            f"{content} can't be read: {error.strerror or error}",
            node=transport.node,
            step="upload",
            tried=f"to put it on the node as {destination}",
            hint="make the file again, or correct its path",
        ) from None


@dataclass(slots=True)
class _Upload:
    transport: Transport
    handle: BinaryIO
    source: Content
    destination: str
    sha256: str
    mode: str
    total: int
    slowest: int
    read: _Hash = field(default_factory=hashlib.sha256)

    def send(self, progress: Progress) -> None:
        there, part_size, part_hash = self._look()
        if there == self.sha256:
            self._check("set mode of", _MODE, self.mode)
            progress(self.total, self.total)
            return
        start = self._true_beginning(part_size, part_hash)
        self.transport.stream(
            self._command("upload", _CONTINUE if start else _BEGIN),
            self._pieces(),
            total=self.total - start,
            progress=lambda done, _: progress(start + done, self.total),
            timeout=600 + self.total / self.slowest,
        )
        arrived = self._check("hash", _HASH).split()[0]
        if arrived != self.sha256:
            self._check("drop", _DROP)
            raise self._damaged(arrived)
        self._check("place", _PLACE, self.mode)

    def _look(self) -> tuple[str, int, str]:
        there, part_size, part_hash = "", 0, ""
        for line in self._check("look at", _LOOK, str(self.total)).splitlines():
            fields = line.split()
            if fields[0] == "file":
                there = fields[1]
            else:
                part_size, part_hash = int(fields[1]), fields[2]
        return there, part_size, part_hash

    def _true_beginning(self, size: int, sha256: str) -> int:
        """`size` when the part is the beginning of the source, else 0; the source is then read up to there."""
        if 0 < size <= self.total:
            digest = hashlib.sha256()
            left = size
            while left and (piece := self.handle.read(min(PIECE, left))):
                digest.update(piece)
                left -= len(piece)
            if not left and digest.hexdigest() == sha256:
                self.read = digest
                return size
            self.handle.seek(0)
        return 0

    def _pieces(self) -> Iterator[bytes]:
        while piece := self.handle.read(PIECE):
            self.read.update(piece)
            yield piece

    def _check(self, verb: str, template: str, *more: str) -> str:
        return self.transport.check(self._command(verb, template, *more), timeout=60 + self.total / SLOWEST_HASH).text

    def _command(self, verb: str, template: str, *more: str) -> Command:
        return Command.of(f"{verb} {self.destination}", template, self.destination, *more)

    def _damaged(self, arrived: str) -> TransferDamaged:
        if self.read.hexdigest() != self.sha256:
            return TransferDamaged(
                f"{self.source} is not the file it should be; nothing was put in place",
                node=self.transport.node,
                step="upload",
                tried=f"to put it on the node as {self.destination}, SHA-256 {self.sha256}",
                got=f"SHA-256 {self.read.hexdigest()} on this machine",
                hint="it was changed or damaged on this machine: make it again (clusterup image build)",
            )
        return TransferDamaged(
            f"{self.destination} arrived damaged; what arrived was removed",
            node=self.transport.node,
            step="upload",
            tried=f"to send {self.source}, SHA-256 {self.sha256}",
            got=f"SHA-256 {arrived} on the node",
            hint="run it again; if it stays so, check the node's memory and disk",
        )
