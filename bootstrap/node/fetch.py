"""What a server of the cluster hands to a node that joins (serve.py), fetched until it is whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from description import Artifact
from trouble import Trouble

PORT = 6445
SECONDS = 60.0
BLOCK = 1 << 20
# An artifact is given up when so many connections in a row have brought nothing.
TRIES = 5
Say = Callable[[str], None]


class Source:
    """The servers of a cluster, whose authority is `ca` (PEM); `token` is shown to them."""

    def __init__(self, servers: Sequence[str], ca: str, token: str, port: int = PORT) -> None:
        self._servers = tuple(servers)
        self._context = ssl.create_default_context(cadata=ca)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._port = port

    def bring(self, artifact: Artifact, place: Path, say: Say) -> None:
        """Have the artifact at `place`: fetched where it is not there whole, from where an earlier try ended. Raises
        Trouble, OSError."""
        if place.exists() and _sha256(place) == artifact.sha256:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"{place.name}.part")
        said: list[str] = []
        vain = 0
        while vain < TRIES * len(self._servers) and _size(part) < artifact.size:
            server = self._servers[vain % len(self._servers)]
            before = _size(part)
            try:
                self._fetch(server, artifact, part)
            except (OSError, http.client.HTTPException) as error:
                said.append(f"{server}: {error or type(error).__name__}")
            vain = 0 if _size(part) > before else vain + 1
        if _size(part) != artifact.size or _sha256(part) != artifact.sha256:
            whole = _size(part) >= artifact.size
            if whole:
                part.unlink()
            raise Trouble(
                f"{place.name} does not come",
                tried=f"fetch it from {', '.join(self._servers)}, port {self._port}",
                got="what arrived is not what the cluster describes" if whole else "; ".join(said[-3:]) or "nothing",
                hint="are the servers up (`systemctl status clusterup-artifacts` there), and does a firewall let this "
                "machine through to that port?",
                passing=True,
            )
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.rename(place)
        say(f"{place.name} is here, {artifact.size >> 20} MiB")

    def _fetch(self, server: str, artifact: Artifact, part: Path) -> None:
        connection = http.client.HTTPSConnection(server, self._port, timeout=SECONDS, context=self._context)
        try:
            begin = _size(part)
            headers = {**self._headers, "Range": f"bytes={begin}-"}
            connection.request("GET", f"/artifacts/{artifact.sha256}", headers=headers)
            answer = connection.getresponse()
            if answer.status != 206:
                raise http.client.HTTPException(f"{answer.status} {answer.read(200).decode(errors='replace').strip()}")
            with part.open("ab") as handle:
                while block := answer.read(BLOCK):
                    handle.write(block)
        finally:
            connection.close()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
