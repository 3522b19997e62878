"""What a server of the cluster hands to a node that joins (serve.py), fetched until it is whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.constants.ports import ARTIFACTS_PORT
from bootstrap.node.joining.description import Artifact
from bootstrap.protocol.exchange import connection_to, within
from bootstrap.protocol.failure import Failure

BLOCK = 64 << 10
# An artifact is given up when so many connections to each server, in a row, have brought nothing.
TRIES = 5
# RFC 7233, section 4.2: which bytes of how many these are.
RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Patience:
    """Seconds: `answer` until a server has begun to answer, `block` for each 64 KiB, which the slowest line carries in
    that time; `pause` after a try that brought nothing, twice as long after each further one up to `longest_pause`;
    `busy` for as long as servers say that they serve too many others already."""

    answer: float = 60.0
    block: float = 60.0
    pause: float = 1.0
    longest_pause: float = 8.0
    busy: float = 3600.0

    def after(self, rounds: int) -> float:
        """How long to wait when each server was asked so many times in vain."""
        return float(min(self.pause * 2 ** min(rounds - 1, 10), self.longest_pause))


class Busy(http.client.HTTPException):
    """The server would hand it out, and not now."""


class OtherSize(http.client.HTTPException):
    """The server has something else than the cluster describes."""


class Source:
    """The servers of a cluster, whose authority is `ca` (PEM); `token` is shown to them."""

    def __init__(
        self,
        servers: Sequence[str],
        ca: str,
        token: str,
        port: int = ARTIFACTS_PORT,
        patience: Patience = Patience(),
    ) -> None:
        self._servers = tuple(servers)
        self._context = ssl.create_default_context(cadata=ca)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._port = port
        self._patience = patience

    def bring(self, artifact: Artifact, place: Path, say: Say) -> None:
        """Have the artifact at `place`: fetched where it is not there whole, from where an earlier try ended. Never is
        more than its size written. Raises Failure, OSError."""
        if place.exists() and _sha256(place) == artifact.sha256:
            return
        _make_folder(place.parent)
        part = place.with_name(f"{place.name}.part")
        said = self._fetched(artifact, part, say)
        if _size(part) != artifact.size or _sha256(part) != artifact.sha256:
            whole = _size(part) >= artifact.size
            if whole:
                part.unlink()
            raise Failure(
                f"{place.name} does not come",
                tried=f"fetch it from {', '.join(self._servers)}, port {self._port}",
                got="what arrived is not what the cluster describes" if whole else "; ".join(said[-3:]) or "nothing",
                hint="are the servers up (`systemctl status clusterup-artifacts` there), and does a firewall let this "
                "machine through to that port?",
                passing=True,
            )
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        # Once it is a server, this machine hands it out by a user that is not root.
        part.chmod(0o644)
        part.rename(place)
        say(f"{place.name} is here, {artifact.size >> 20} MiB")

    def _fetched(self, artifact: Artifact, part: Path, say: Say) -> list[str]:
        """Fetch until it is whole or given up; what went wrong meanwhile."""
        said: list[str] = []
        servers, vain, waits = list(self._servers), 0, 0
        progress = time.monotonic()
        while _size(part) < artifact.size and servers:
            before, server = _size(part), servers[0]
            try:
                self._fetch(server, artifact, part)
            except OtherSize as error:
                said.append(f"{server}: {error}")
                servers.remove(server)
                continue
            except Busy as error:
                if not waits:
                    say(f"{server} serves too many others now; waiting")
                said.append(f"{server}: {error}")
                vain -= 1
            except (OSError, http.client.HTTPException) as error:
                said.append(f"{server}: {error or type(error).__name__}")
            # Less than a block a connection does not count: a byte at a time would never end.
            if _size(part) - before >= min(BLOCK, artifact.size - before):
                vain, waits, progress = 0, 0, time.monotonic()
                continue
            vain += 1
            if vain >= TRIES * len(servers) or time.monotonic() - progress > self._patience.busy:
                break
            servers.append(servers.pop(0))
            waits += 1
            if waits % len(servers) == 0:
                time.sleep(self._patience.after(waits // len(servers)))
        return said

    def _fetch(self, server: str, artifact: Artifact, part: Path) -> None:
        """Fetch on from what is there. Raises OSError, HTTPException; OtherSize, and removes what is there, where
        the server has something of another size."""
        connection = connection_to(server, self._port, self._context, self._patience.block)
        try:
            begin = _size(part)
            with within(self._patience.answer):
                headers = {**self._headers, "Range": f"bytes={begin}-"}
                connection.request("GET", f"/artifacts/{artifact.sha256}", headers=headers)
                answer = connection.getresponse()
                _check(answer, begin, artifact.size)
            with part.open("ab") as handle:
                left = artifact.size - begin
                while left:
                    with within(self._patience.block):
                        block = answer.read(min(BLOCK, left))
                    if not block:
                        raise http.client.IncompleteRead(b"", left)
                    handle.write(block)
                    left -= len(block)
            with within(self._patience.block):
                if answer.read(1):
                    raise OtherSize(f"it goes on after the {artifact.size} bytes that the cluster describes")
        except OtherSize:
            part.unlink(missing_ok=True)
            raise
        finally:
            connection.close()


def _check(answer: http.client.HTTPResponse, begin: int, size: int) -> None:
    """Raise where it is not the rest of an artifact of that size."""
    if answer.status == http.client.SERVICE_UNAVAILABLE:
        raise Busy(_refusal(answer))
    if answer.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise OtherSize(f"what the server has ends before byte {begin} of {size}")
    if answer.status != http.client.PARTIAL_CONTENT:
        raise http.client.HTTPException(_refusal(answer))
    if (packed := answer.headers.get("Content-Encoding", "identity")) != "identity":
        raise http.client.HTTPException(f"it comes packed ({packed[:20]!r}), which was not asked for")
    found = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != begin:
        raise http.client.HTTPException("the server sends another part of it than was asked for")
    announced = size - begin if answer.length is None else answer.length
    if int(found[3]) != size or announced > size - begin:
        raise OtherSize(f"the server has one of {found[3]} bytes and sends {announced}; the cluster describes {size}")


def _refusal(answer: http.client.HTTPResponse) -> str:
    return f"{answer.status} {answer.read(200).decode(errors='replace').strip()}"


def _make_folder(folder: Path) -> None:
    """For everybody to read, whatever the mask of who joins."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
