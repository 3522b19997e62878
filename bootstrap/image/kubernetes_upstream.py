"""Kubernetes as its project releases it: the server tarball, checked against the published SHA-512.

A release is two files of one folder, `{base}/v{version}/kubernetes-server-linux-amd64.tar.gz` and the same
name with `.sha512`. The base is https://dl.k8s.io, unless the environment variable `CLUSTERUP_KUBERNETES_URL` names
another one, such as a mirror inside a closed network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image.cache import cached, content_key
from bootstrap.image.kubernetes_debian import BINARIES
from bootstrap.image.trees import Log
from bootstrap.paths import cache_dir

if TYPE_CHECKING:
    import httpx

UPSTREAM = "https://dl.k8s.io"
VARIABLE = "CLUSTERUP_KUBERNETES_URL"
TARBALL = "kubernetes-server-linux-amd64.tar.gz"
INSIDE = "kubernetes/server/bin/"
VERSION = re.compile(r"v?([0-9]+\.[0-9]+\.[0-9]+(?:-(?:alpha|beta|rc)\.[0-9]+)?)")
TRIES = 5
PAUSE = 2.0  # seconds between two tries
CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0  # of silence in the middle of an answer
WORTH_ANOTHER_TRY = (408, 429, 500, 502, 503, 504)

T = TypeVar("T")


class _Again(Exception):
    """An answer that is of no use now and may be another next time."""


def wanted_release(version: str) -> str:
    """The release in "1.31.2" or "v1.31.2". Raises BadUse for what is none."""
    wanted = VERSION.fullmatch(version)
    if wanted is None:
        raise BadUse(
            f"{version!r} is not a release of Kubernetes",
            step="image build",
            hint="name one as in 1.31.2; they are listed at https://kubernetes.io/releases/",
        )
    return wanted[1]


def fetch_kubernetes(version: str, log: Log, *, base_url: str | None = None) -> tuple[Path, str]:
    """The folder with Kubernetes' binaries, and their version, as in "1.31.2"; downloaded where not cached yet.

    The base is `base_url`, else `$CLUSTERUP_KUBERNETES_URL`, else upstream's own. A download that was cut goes on
    where it stopped, in this run or in the next.

    Raises BadUse for a version or an address that is none, ClusterupError when the release can't be fetched, is not
    what its checksum says or does not hold every binary.
    """
    import httpx

    release = wanted_release(version)
    url = f"{_base(base_url or os.environ.get(VARIABLE) or UPSTREAM)}/v{release}/{TARBALL}"
    key = content_key({"url": url, "binaries": " ".join(BINARIES)})

    def build(folder: Path) -> None:
        part = cache_dir() / "downloads" / f"kubernetes-{release}-{key}.tar.gz.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        log(f"fetching Kubernetes {release} from {url}")
        timeout = httpx.Timeout(CONNECT_TIMEOUT, read=READ_TIMEOUT)
        as_stored = {"Accept-Encoding": "identity"}  # because that is what the checksum is of
        with httpx.Client(timeout=timeout, headers=as_stored, follow_redirects=True) as client:
            published = _patiently(lambda: _published_hash(client, f"{url}.sha512"), f"{url}.sha512", log)
            _patiently(lambda: _download(client, url, part, log), url, log)
        _check(part, published, url)
        log("the SHA-512 is the published one; unpacking")
        _unpack(part, folder / "bin", url)
        part.unlink()

    try:
        return cached("kubernetes-upstream", key, build) / "bin", release
    except OSError as error:
        raise ClusterupError(
            f"Kubernetes {release} can't be stored",
            step="image build",
            tried=f"download and unpack it below {cache_dir()}",
            got=str(error),
            hint="make room there (about 1 GB), or name another folder with XDG_CACHE_HOME",
        ) from None


def _base(address: str) -> str:
    import httpx

    try:
        url = httpx.URL(address)
        if url.scheme in ("http", "https") and url.host:
            return address.rstrip("/")
        got = "no http or https address"
    except httpx.InvalidURL as error:
        got = str(error)
    raise BadUse(
        f"{address!r} is not an address of a mirror of Kubernetes",
        step="image build",
        got=got,
        hint=f"set {VARIABLE} to one as in {UPSTREAM}, or unset it",
    )


def _patiently(attempt: Callable[[], T], url: str, log: Log) -> T:
    """What `attempt` returns, tried again a few times when the connection fails. Raises ClusterupError."""
    import httpx

    for number in range(1, TRIES + 1):
        try:
            return attempt()
        except (httpx.RequestError, _Again) as error:
            last: httpx.RequestError | _Again = error
        got = str(last) or type(last).__name__
        log(f"{url} (try {number} of {TRIES}): {got}")
        if number < TRIES:
            time.sleep(PAUSE)
    if isinstance(last, (httpx.ConnectError, httpx.ConnectTimeout)):
        raise ClusterupError(
            f"{last.request.url.netloc.decode()} can't be reached",
            step="image build",
            tried=f"GET {last.request.url}, {TRIES} times",
            got=got,
            hint=f"check the network and the proxy (HTTPS_PROXY), or name a mirror with {VARIABLE}",
        )
    raise ClusterupError(
        "the download of Kubernetes did not come to its end",
        step="image build",
        tried=f"GET {url}, {TRIES} times",
        got=got,
        hint="run it again: it goes on where it stopped",
    )


def _require_answer(answer: httpx.Response, url: str, *good: int) -> None:
    code = answer.status_code
    if code in good:
        return
    if code in WORTH_ANOTHER_TRY:
        raise _Again(f"the server answered {code}")
    raise ClusterupError(
        f"there is no {url}: this version may not exist" if code == 404 else f"{url} can't be fetched",
        step="image build",
        tried=f"GET {url}" if answer.url == url else f"GET {url}, which led to {answer.url}",
        got=f"{code} {answer.reason_phrase}".strip(),
        hint=f"compare the version with https://kubernetes.io/releases/, and {VARIABLE} with what the mirror holds",
    )


def _published_hash(client: httpx.Client, url: str) -> str:
    said = b""
    with client.stream("GET", url) as answer:
        _require_answer(answer, url, 200)
        for piece in answer.iter_raw():
            said += piece
            if len(said) > 4096:
                break
    # The hash alone, or a line as sha512sum writes it.
    found = re.match(rb"\s*([0-9a-fA-F]{128})(?:\s|$)", said)
    if found is None:
        raise ClusterupError(
            f"{url} is not a SHA-512",
            step="image build",
            tried=f"GET {url}",
            got=said[:100].decode(errors="replace").strip() or "nothing",
            hint=f"set {VARIABLE} to a mirror that has the checksums as upstream does",
        )
    return found[1].decode().lower()


def _download(client: httpx.Client, url: str, part: Path, log: Log) -> None:
    """Complete `part`: what is there already is not asked for again."""
    have = part.stat().st_size if part.exists() else 0
    asked = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers=asked) as answer:
        _require_answer(answer, url, 200, *((206, 416) if have else ()))
        content_range = answer.headers.get("Content-Range", "")
        if answer.status_code == 416 and content_range == f"bytes */{have}":
            return
        if answer.status_code == 416 or (answer.status_code == 206 and not content_range.startswith(f"bytes {have}-")):
            part.unlink()
            raise _Again(f"asked from byte {have} on, got {answer.status_code} {content_range}; starting over")
        if have and answer.status_code == 200:
            log("the server can't go on in the middle; starting over")
            have = 0
        elif have:
            log(f"going on after {have >> 20} MiB")
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else 0
        whole = total or 640 << 20  # a line for every tenth of it
        with part.open("ab" if have else "wb") as handle:
            for piece in answer.iter_raw():
                handle.write(piece)
                before, have = have, have + len(piece)
                if have * 10 // whole > before * 10 // whole:
                    log(
                        f"{have >> 20} of {total >> 20} MiB ({have * 100 // total} %)" if total else f"{have >> 20} MiB"
                    )


def _check(part: Path, published: str, url: str) -> None:
    with part.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha512").hexdigest()
    if found != published:
        part.unlink()
        raise ClusterupError(
            f"{url} is not what its checksum says; it was thrown away",
            step="image build",
            tried=f"compare its SHA-512 with {url}.sha512",
            got=f"{found}, published is {published}",
            hint="run it again, which starts over; when it comes back, don't trust this server",
        )


def _unpack(tarball: Path, folder: Path, url: str) -> None:
    """The binaries, and nothing else, of a tarball into `folder`, whatever the tarball calls its other members."""
    folder.mkdir()
    missing = {INSIDE + binary: binary for binary in BINARIES}
    problem = None
    try:
        with tarfile.open(tarball, "r|gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.name in missing and member.isreg() else None
                if content is None:
                    continue
                binary = folder / missing.pop(member.name)
                with content, binary.open("wb") as target:
                    shutil.copyfileobj(content, target, 1 << 20)
                binary.chmod(0o755)
                if not missing:
                    return
    except (tarfile.TarError, EOFError) as error:
        problem = f"a tarball that can't be read: {error}"
    tarball.unlink()
    raise ClusterupError(
        f"{url} is not a complete release of Kubernetes",
        step="image build",
        tried=f"look for {', '.join(BINARIES)} in {INSIDE}",
        got=problem or f"no regular file {', '.join(missing.values())}",
        hint="compare with upstream's release; this one can't be used",
    )
