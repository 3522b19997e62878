"""Files from the network: over https alone, with what is cut going on where it stopped, and nothing believed that has
another digest than was said elsewhere."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image.trees import Log
from bootstrap.image.upstream.digests import Digest
from bootstrap.image.upstream.places import STEP, VARIABLE, address_of

if TYPE_CHECKING:
    import httpx

TRIES = 5
PAUSE = 2.0  # seconds between two tries
CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0  # of silence in the middle of an answer
ASKING_TIMEOUT = 5.0  # where it is only asked whether anyone is there
WORTH_ANOTHER_TRY = (408, 429, 500, 502, 503, 504)
SECURE = "https"

T = TypeVar("T")


class _Again(Exception):
    """An answer that is of no use now and may be another next time."""


@contextmanager
def client(timeout: float = READ_TIMEOUT) -> Iterator[httpx.Client]:
    """Somebody who asks for files as they are stored, and follows where a server leads, but not to plain http. Raises
    BadUse where the environment says something about the network that can't be used."""
    import httpx

    def refuse_plain_http(request: httpx.Request) -> None:
        if request.url.scheme != SECURE:
            raise ClusterupError(
                f"{request.url} is not asked for: it is plain http",
                step=STEP,
                tried="follow where the server led",
                hint=f"whoever is on the way could send anything; use a server (or a mirror, {VARIABLE}) with https",
            )

    limits = httpx.Timeout(min(timeout, CONNECT_TIMEOUT), read=timeout)
    # The digest is of what is stored.
    headers = {"Accept-Encoding": "identity"}
    hooks = {"request": [refuse_plain_http]}
    try:
        asking = httpx.Client(timeout=limits, headers=headers, follow_redirects=True, event_hooks=hooks)
    except (ImportError, ValueError, OSError) as error:
        raise BadUse(
            "what the environment says of the network can't be used",
            step=STEP,
            tried="read HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
            got=str(error),
            hint="an http proxy, and a file with certificates that is there; or unset them",
        ) from None
    with asking:
        yield asking


def why_no_one_answers(address: str) -> str | None:
    """Why no one answers at an address, None where somebody does: asked twice, and not for long. Raises ClusterupError
    where what is answered is of no use."""
    import httpx

    with client(ASKING_TIMEOUT) as asking:
        for _ in range(2):
            try:
                with asking.stream("GET", address) as answer:
                    _require_answer(answer, address, 200)
                    return None
            except _Again as error:
                raise ClusterupError(
                    f"{address} can't be had now",
                    step=STEP,
                    tried=f"GET {address}",
                    got=str(error),
                    hint="try again; to go without it: --source debian, or a folder with the binaries",
                ) from None
            except httpx.RequestError as error:
                why = str(error) or type(error).__name__
    return why


def small_file(asking: httpx.Client, address: str, log: Log, most: int = 4 << 20) -> bytes:
    """What is at an address, at most `most` bytes. Raises ClusterupError."""

    def attempt() -> bytes:
        said = b""
        with asking.stream("GET", address) as answer:
            _require_answer(answer, address, 200)
            for piece in answer.iter_raw():
                said += piece
                if len(said) > most:
                    raise ClusterupError(
                        f"{address} is longer than such a file is",
                        step=STEP,
                        got=f"more than {most} bytes",
                        hint=f"compare {VARIABLE} with what the mirror holds",
                    )
        return said

    return _patiently(attempt, address, log)


def big_file(asking: httpx.Client, place: str, part: Path, digest: Digest, log: Log) -> None:
    """Complete `part` with what a place holds; what is there already is not asked for again. Raises ClusterupError,
    also where its digest is another one: then it is thrown away."""
    address = address_of(place)
    part.parent.mkdir(parents=True, exist_ok=True)
    _patiently(lambda: _download(asking, address, part, log), address, log)
    with part.open("rb") as handle:
        found = hashlib.file_digest(handle, digest.algorithm).hexdigest()
    if found != digest.value:
        part.unlink()
        raise ClusterupError(
            f"{address} is not what its checksum says; it was thrown away",
            step=STEP,
            tried=f"compare its {digest.algorithm} with {digest.source}",
            got=f"{found}, it should be {digest.value}",
            hint="run it again, which starts over; when it comes back, don't trust this server",
        )


def _patiently(attempt: Callable[[], T], address: str, log: Log) -> T:
    """What `attempt` returns, tried again a few times when the connection fails. Raises ClusterupError."""
    import httpx

    for number in range(1, TRIES + 1):
        try:
            return attempt()
        except (httpx.RequestError, _Again) as error:
            last: httpx.RequestError | _Again = error
        got = str(last) or type(last).__name__
        log(f"{address} (try {number} of {TRIES}): {got}")
        if number < TRIES:
            time.sleep(PAUSE)
    if isinstance(last, (httpx.ConnectError, httpx.ConnectTimeout)):
        raise ClusterupError(
            f"{last.request.url.netloc.decode()} can't be reached",
            step=STEP,
            tried=f"GET {last.request.url}, {TRIES} times",
            got=got,
            hint="the certificate of a mirror of yours is believed when SSL_CERT_FILE names the authority's"
            if "CERTIFICATE_VERIFY_FAILED" in got
            else f"check the network and the proxy (HTTPS_PROXY), or name a mirror with {VARIABLE}",
        )
    raise ClusterupError(
        "a download did not come to its end",
        step=STEP,
        tried=f"GET {address}, {TRIES} times",
        got=got,
        hint="run it again: it goes on where it stopped",
    )


def _require_answer(answer: httpx.Response, address: str, *good: int) -> None:
    code = answer.status_code
    if code in good:
        return
    if code in (403, 429) and answer.headers.get("X-RateLimit-Remaining") == "0":
        raise ClusterupError(
            f"{answer.url.host} has answered as often as it does within an hour",
            step=STEP,
            tried=f"GET {address}",
            got=f"{code} {answer.reason_phrase}".strip(),
            hint="wait for the next hour, or ask from another address",
        )
    if code in WORTH_ANOTHER_TRY:
        raise _Again(f"the server answered {code}")
    raise ClusterupError(
        f"there is no {address}: this version may not exist" if code == 404 else f"{address} can't be fetched",
        step=STEP,
        tried=f"GET {address}" if answer.url == address else f"GET {address}, which led to {answer.url}",
        got=f"{code} {answer.reason_phrase}".strip(),
        hint=f"compare the version with https://kubernetes.io/releases/, and {VARIABLE} with what the mirror holds",
    )


def _download(asking: httpx.Client, address: str, part: Path, log: Log) -> None:
    have = part.stat().st_size if part.exists() else 0
    asked = {"Range": f"bytes={have}-"} if have else {}
    with asking.stream("GET", address, headers=asked) as answer:
        _require_answer(answer, address, 200, *((206, 416) if have else ()))
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
