"""Manifests on servers: fetched once, and believed by their SHA-256 alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.errors import ClusterupError
from bootstrap.manifests.documents import LONGEST, STEP
from bootstrap.paths import cache_dir
from bootstrap.system_errors import as_error
from bootstrap.written import write_private

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS, READ_SECONDS = 15.0, 60.0


def fetched(url: str, sha256: str) -> bytes:
    """The file at `url`, from the cache where it was fetched before. Raises ClusterupError that says what was asked and
    what came back, and where the file is another one than `sha256` says."""
    kept = cache_dir() / "manifests" / sha256
    content = _kept(kept)
    if content is not None and _digest(content) == sha256:
        return content
    content = _asked(url)
    if (found := _digest(content)) != sha256:
        raise ClusterupError(
            f"the file at {url} is not the one that the inventory names",
            step=STEP,
            tried="compare its SHA-256",
            got=f"{found}; the inventory has {sha256}",
            hint="look at what it is now; where it is to be applied, write its sha256 into the inventory",
        )
    try:
        write_private(kept, content)
    except OSError as error:
        raise as_error(error, step=STEP, tried=f"keep the file in {kept.parent}") from None
    return content


def _kept(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _asked(url: str) -> bytes:
    import httpx

    times = httpx.Timeout(CONNECT_SECONDS, read=READ_SECONDS)
    try:
        with httpx.Client(timeout=times, follow_redirects=True) as asking, asking.stream("GET", url) as answer:
            return _body(answer, url)
    except httpx.HTTPError as error:
        raise _failed(url, str(error) or type(error).__name__) from None
    except (ImportError, ValueError, OSError) as error:
        # A proxy or a file of certificates in the environment that can't be used.
        raise _failed(url, str(error)) from None


def _body(answer: httpx.Response, url: str) -> bytes:
    if answer.status_code != 200:
        raise _failed(url, f"{answer.status_code} {answer.reason_phrase}".strip())
    content = bytearray()
    for piece in answer.iter_bytes():
        content += piece
        if len(content) > LONGEST:
            raise _failed(url, f"more than {LONGEST >> 20} MiB")
    return bytes(content)


def _failed(url: str, got: str) -> ClusterupError:
    return ClusterupError(
        f"the manifests at {url} can't be fetched",
        step=STEP,
        tried=f"GET {url}",
        got=got,
        hint="check the address, the network and the proxy (HTTPS_PROXY); or fetch the file by another way, and name "
        "its path instead of the url",
    )
