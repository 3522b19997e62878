"""What a machine that joins bears of the servers that it asks: answers that come a byte at a time, that never end, that
are larger than they should be. The sockets and their TLS are real."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import resource
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_errors import KubeError
from bootstrap.errors import ClusterupError, Refused
from bootstrap.joining import discovery
from bootstrap.joining.discovery import Discovered
from bootstrap.joining.server_bundle import made_for as made_for_asked_from_here
from bootstrap.node import asking
from bootstrap.node.joining import fetch
from bootstrap.node.joining import server as server_join
from bootstrap.node.joining.description import Artifact
from bootstrap.pki.token import ca_pin
from bootstrap.pki.x509 import Usage, issue, new_authority
from bootstrap.protocol import exchange
from bootstrap.protocol.discovery import ServerUrl, discover
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.token import Token
from tests.helpers.slow_server import Answer, answering_in_pieces, dribbling_a_handshake

AUTHORITY = new_authority("kubernetes")
SERVING = issue(AUTHORITY, common_name="kube-apiserver", usage=Usage.SERVER, hosts=["127.0.0.1"])
TOKEN = Token("abcdef", "0123456789abcdef")
CONTENT = b"the payload " * 50_000
ARTIFACT = Artifact("/payload.raw", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
# A byte so often is progress to each read of a socket, and never an answer.
APART = 0.05


def forever(first: bytes, then: bytes) -> Answer:
    """An answer that begins with `first` and goes on with `then`, again and again."""

    def answer(_: bytes) -> Iterator[bytes]:
        yield first
        while True:
            yield then

    return answer


WITHOUT_END = {
    "status line": forever(b"HTTP/1.1 200 O", b"K"),
    "one header": forever(b"HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
    "headers": forever(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    "continue": forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body of known length": forever(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{", b" "),
    "body of unknown length": forever(b"HTTP/1.1 200 OK\r\n\r\n{", b" "),
    "chunks": forever(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}
NAMES = list(WITHOUT_END)


@contextmanager
def dribbling(name: str, folder: Path) -> Iterator[int]:
    # As many headers as one likes would be too many before they are too slow.
    apart = 1.0 if name == "headers" else APART
    with answering_in_pieces(SERVING, WITHOUT_END[name], folder, apart=apart) as port:
        yield port


def context() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=AUTHORITY.cert_pem.decode())


@pytest.mark.parametrize("name", NAMES)
def test_a_question_ends_with_its_own_time_however_the_answer_is_spread(tmp_path: Path, name: str) -> None:
    with dribbling(name, tmp_path) as port, pytest.raises(exchange.TooSlow, match="not done within 1 s"):
        exchange.asked("127.0.0.1", port, context(), "/", seconds=1.0)


def test_a_handshake_that_never_ends_ends_with_the_same_time() -> None:
    with dribbling_a_handshake(APART) as port, pytest.raises(exchange.TooSlow, match="not done within 1 s"):
        exchange.asked("127.0.0.1", port, context(), "/", seconds=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_way_to_trust_ends_in_words(tmp_path: Path, name: str) -> None:
    with dribbling(name, tmp_path) as port, pytest.raises(Failure) as told:
        discover(ServerUrl("127.0.0.1", port), TOKEN, frozenset(), seconds=1.0)
    assert f"the server https://127.0.0.1:{port} answers too slowly, or not at all" in str(told.value)
    assert "not done within 1 s" in str(told.value)
    assert told.value.passing


@pytest.mark.parametrize("name", NAMES)
def test_the_way_to_trust_from_an_operator_s_machine_ends_in_words(tmp_path: Path, name: str) -> None:
    pins = frozenset({ca_pin(AUTHORITY.cert_pem)})
    with dribbling(name, tmp_path) as port, pytest.raises(ClusterupError) as told:
        discovery.discover(ServerUrl("127.0.0.1", port), TOKEN, pins, seconds=1.0)
    assert "answers too slowly, or not at all" in str(told.value)
    assert told.value.got == "not done within 1 s"


def test_a_handshake_that_never_ends_ends_the_same_way_there() -> None:
    pins = frozenset({ca_pin(AUTHORITY.cert_pem)})
    with dribbling_a_handshake(APART) as port, pytest.raises(ClusterupError, match="answers too slowly") as told:
        discovery.discover(ServerUrl("127.0.0.1", port), TOKEN, pins, seconds=1.0)
    assert told.value.got == "not done within 1 s"


@contextmanager
def client(port: int, whole: float = 1.0) -> Iterator[KubeClient]:
    with KubeClient(
        "127.0.0.1", port, ca_pem=AUTHORITY.cert_pem, client=None, token=TOKEN, server_name="127.0.0.1", whole=whole
    ) as api:
        yield api


@pytest.mark.parametrize("name", NAMES)
def test_a_question_with_a_token_ends_with_its_own_time(tmp_path: Path, name: str) -> None:
    with dribbling(name, tmp_path) as port, client(port) as api, pytest.raises(KubeError) as told:
        api.get("Node", "s1")
    assert told.value.got == "not done within 1 s"
    assert TOKEN.secret not in str(told.value)


def whole(status: int, body: bytes, *headers: str) -> Answer:
    head = "\r\n".join([f"HTTP/1.1 {status} said", f"Content-Length: {len(body)}", *headers, "", ""])
    return lambda _: [head.encode() + body]


def chunk(letter: bytes) -> bytes:
    """64 KiB of it, as a chunk. RFC 7230, section 4.1."""
    return b"10000\r\n" + letter * 65536 + b"\r\n"


LARGE = {
    "announced": lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}"],
    "not announced": forever(b"HTTP/1.1 200 OK\r\n\r\n{", b" " * 100_000),
    "in chunks": forever(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b" ")),
}


@pytest.mark.parametrize("name", list(LARGE))
def test_an_answer_that_is_larger_than_any_should_be_is_given_up(tmp_path: Path, name: str) -> None:
    with answering_in_pieces(SERVING, LARGE[name], tmp_path) as port, pytest.raises(exchange.TooLarge, match="1000000"):
        exchange.asked("127.0.0.1", port, context(), "/", largest=1_000_000)


@pytest.mark.parametrize("name", list(LARGE))
def test_a_description_that_is_too_large_is_none_of_a_cluster(tmp_path: Path, name: str) -> None:
    with answering_in_pieces(SERVING, LARGE[name], tmp_path) as port:
        with pytest.raises(Failure, match="is not an API server of a Kubernetes cluster"):
            discover(ServerUrl("127.0.0.1", port), TOKEN, frozenset())
        with pytest.raises(Refused, match="is not an API server of a Kubernetes cluster"):
            discovery.discover(ServerUrl("127.0.0.1", port), TOKEN, frozenset())


def test_an_answer_that_is_packed_does_not_unpack_to_more_than_any_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.clients.kubernetes.LARGEST", 1_000_000)
    bomb = whole(200, gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip")
    with (
        answering_in_pieces(SERVING, bomb, tmp_path) as port,
        client(port, 60.0) as api,
        pytest.raises(KubeError) as told,
    ):
        api.get("Node", "s1")
    assert told.value.got == "more than 1000000 bytes came"


def made(packed: bytes) -> Answer:
    """What a server's token opens."""
    secret = {"kind": "Secret", "data": {"server.json.gz": base64.b64encode(packed).decode()}}
    return whole(200, json.dumps(secret).encode())


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b" " * (200 << 20)),
        gzip.compress(b"{}")[:-4],
        b"not packed at all",
        gzip.compress(b"{}") + b"more",
    ],
    ids=["it unpacks to far more", "cut off", "not packed", "more behind it"],
)
def test_what_a_token_opens_is_not_unpacked_without_an_end(tmp_path: Path, packed: bytes) -> None:
    with answering_in_pieces(SERVING, made(packed), tmp_path) as port:
        api = asking.Api(ServerUrl("127.0.0.1", port), context(), {})
        with pytest.raises(Failure, match="what was made for this server can't be read"):
            server_join.made_for(api, TOKEN)
        with pytest.raises(ClusterupError, match="what was made for the token's server can't be read"):
            made_for_asked_from_here(Discovered(ServerUrl("127.0.0.1", port), AUTHORITY.cert_pem), TOKEN)


HASTY = fetch.Patience(answer=1.0, block=1.0, pause=0.0, busy=1.0)


def part(begin: int, content: bytes, *headers: str, total: int = len(CONTENT), length: int | None = None) -> bytes:
    """The rest of an artifact from a byte on, as the server of artifacts says it."""
    lines = [
        "HTTP/1.1 206 Partial Content",
        f"Content-Range: bytes {begin}-{total - 1}/{total}",
        *([f"Content-Length: {length}"] if length is not None else []),
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


def begin_of(head: bytes) -> int:
    return int(head.partition(b"bytes=")[2].partition(b"-")[0])


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """No file can grow past that: what tries gets an error. Source: setrlimit(2), RLIMIT_FSIZE."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def endless(head: bytes) -> Iterable[bytes]:
    return forever(part(begin_of(head), b"", "Transfer-Encoding: chunked"), chunk(b"x"))(head)


GROWING: dict[str, tuple[Answer, str]] = {
    "announced": (
        lambda head: [part(begin_of(head), CONTENT * 2, length=len(CONTENT) * 2)],
        f"one of {len(CONTENT)} bytes and sends {len(CONTENT) * 2}",
    ),
    "of another size": (
        lambda head: [part(begin_of(head), CONTENT * 2, total=len(CONTENT) * 2, length=len(CONTENT) * 2)],
        f"one of {len(CONTENT) * 2} bytes",
    ),
    "smaller": (lambda _: [b"HTTP/1.1 416 Range\r\nContent-Length: 0\r\n\r\n"], "ends before byte"),
    "in chunks": (endless, f"it goes on after the {len(CONTENT)} bytes"),
    "until the connection ends": (
        lambda head: [part(begin_of(head), CONTENT + b"x" * 1000)],
        f"it goes on after the {len(CONTENT)} bytes",
    ),
}


@pytest.mark.parametrize("begun", [0, 1000])
@pytest.mark.parametrize("name", list(GROWING))
def test_an_artifact_of_another_size_than_described_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, begun: int
) -> None:
    answer, reason = GROWING[name]
    place = tmp_path / "payloads" / "payload.raw"
    place.parent.mkdir()
    if begun:
        place.with_name("payload.raw.part").write_bytes(CONTENT[:begun])
    with answering_in_pieces(SERVING, answer, tmp_path) as port, no_file_larger_than(ARTIFACT.size):
        source = fetch.Source(["127.0.0.1"], AUTHORITY.cert_pem.decode(), TOKEN.reveal(), port, HASTY)
        with pytest.raises(Failure) as told:
            source.bring(ARTIFACT, place, lambda _: None)
    assert reason in str(told.value)
    assert "File too large" not in str(told.value)
    assert list(place.parent.iterdir()) == []


def test_an_artifact_that_comes_packed_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    answer: Answer = lambda head: [part(begin_of(head), bomb, "Content-Encoding: gzip", length=len(bomb))]  # noqa: E731
    with answering_in_pieces(SERVING, answer, tmp_path) as port:
        source = fetch.Source(["127.0.0.1"], AUTHORITY.cert_pem.decode(), TOKEN.reveal(), port, HASTY)
        with pytest.raises(Failure, match="it comes packed"):
            source.bring(ARTIFACT, tmp_path / "payload.raw", lambda _: None)
    assert not (tmp_path / "payload.raw.part").exists()


def a_byte_a_connection(head: bytes) -> Iterable[bytes]:
    begin = begin_of(head)
    return [part(begin, CONTENT[begin : begin + 1], length=len(CONTENT) - begin)]


@pytest.mark.parametrize(
    "answer",
    [
        forever(part(0, b"", length=len(CONTENT)), b"x"),
        forever(b"HTTP/1.1 206 P", b"a"),
        a_byte_a_connection,
        lambda _: [part(0, b"", length=len(CONTENT))],
    ],
    ids=["a byte at a time", "no answer", "a byte a connection", "nothing a connection"],
)
def test_an_artifact_that_does_not_get_on_is_given_up(tmp_path: Path, answer: Answer) -> None:
    with answering_in_pieces(SERVING, answer, tmp_path, apart=APART) as port:
        source = fetch.Source(["127.0.0.1"], AUTHORITY.cert_pem.decode(), TOKEN.reveal(), port, HASTY)
        with pytest.raises(Failure, match=r"payload\.raw does not come") as told:
            source.bring(ARTIFACT, tmp_path / "payload.raw", lambda _: None)
    assert told.value.passing


def test_a_server_that_serves_too_many_others_is_waited_for(tmp_path: Path) -> None:
    asked: list[bytes] = []
    said: list[str] = []

    def answer(head: bytes) -> Iterable[bytes]:
        asked.append(head)
        if len(asked) <= 2 * fetch.TRIES:
            return [b"HTTP/1.1 503 Busy\r\nContent-Length: 30\r\n\r\ntoo many are served already..."]
        return [part(0, CONTENT, length=len(CONTENT))]

    patience = fetch.Patience(pause=0.0)
    with answering_in_pieces(SERVING, answer, tmp_path) as port:
        source = fetch.Source(["127.0.0.1"], AUTHORITY.cert_pem.decode(), TOKEN.reveal(), port, patience)
        source.bring(ARTIFACT, tmp_path / "payload.raw", said.append)
    assert (tmp_path / "payload.raw").read_bytes() == CONTENT
    assert said == ["127.0.0.1 serves too many others now; waiting", "payload.raw is here, 0 MiB"]
    assert (tmp_path / "payload.raw").stat().st_mode & 0o777 == 0o644


def test_a_token_that_the_server_does_not_know_yet_is_shown_again(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def answer(head: bytes) -> Iterable[bytes]:
        asked.append(head)
        if len(asked) < fetch.TRIES:
            return [b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"]
        return [part(0, CONTENT, length=len(CONTENT))]

    with answering_in_pieces(SERVING, answer, tmp_path) as port:
        source = fetch.Source(["127.0.0.1"], AUTHORITY.cert_pem.decode(), TOKEN.reveal(), port, HASTY)
        source.bring(ARTIFACT, tmp_path / "payload.raw", lambda _: None)
    assert (tmp_path / "payload.raw").read_bytes() == CONTENT


def test_another_server_hands_out_what_the_first_has_in_another_size(tmp_path: Path) -> None:
    asked: list[int] = []

    def answer(head: bytes) -> Iterable[bytes]:
        asked.append(begin_of(head))
        if len(asked) == 1:
            return [part(0, b"other", total=5, length=5)]
        return [part(0, CONTENT, length=len(CONTENT))]

    with answering_in_pieces(SERVING, answer, tmp_path) as port:
        source = fetch.Source(["127.0.0.1", "127.0.0.1"], AUTHORITY.cert_pem.decode(), TOKEN.reveal(), port, HASTY)
        source.bring(ARTIFACT, tmp_path / "payload.raw", lambda _: None)
    assert (tmp_path / "payload.raw").read_bytes() == CONTENT
    assert asked == [0, 0]
