"""Files and Secrets of servers that hold something else than clusterup put there."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from bootstrap.adopt.fetch import read_server
from bootstrap.constants.objects import GIVEN_ANNOTATION
from bootstrap.constants.tokens import MADE_KEY
from bootstrap.errors import ClusterupError
from bootstrap.joining import server_bundle as made_secret
from bootstrap.joining.discovery import Discovered
from bootstrap.joining.server_bundle import made_for
from bootstrap.phases.node_metadata import Given, given_to
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.holder import holder_in_words
from bootstrap.protocol.join_manifest import parse_description
from bootstrap.protocol.token import Token
from bootstrap.state.handover import parse_handover
from bootstrap.transport.base import Command, Result, Transport

DEEP = "[" * 100_000
NOT_OURS = (
    *(b"", b"[]", b"null", b"{}", b'{"format": 1}', DEEP.encode(), b"\xff\xfe"),
    b'{"format": 1, "cluster": 1, "inventory": 2}',
)
NO_FILE = (b"", b"\n", b"clusterup/os", b"clusterup/os\n" + DEEP.encode() + b"\n", b"\xff\n\xff\n\xff")
PACKED = {
    "none": b"no gzip",
    "cut": gzip.compress(b"{}")[:-6],
    "deep": gzip.compress(DEEP.encode()),
    "large": gzip.compress(bytes(80 << 20)),
    "short": gzip.compress(b'{"server": {"name": 1}}'),
}


class Says:
    """A way into a machine that answers every command so."""

    node = "s1"

    def __init__(self, said: bytes) -> None:
        self.said = said

    def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        return Result(command, 0, self.said, b"", 0.0)


@pytest.mark.parametrize("said", NO_FILE)
def test_a_machine_that_says_anything_but_a_handover_file_is_an_error_of_it(said: bytes) -> None:
    with pytest.raises(ClusterupError) as caught:
        read_server(cast(Transport, Says(said)))
    assert caught.value.node == "s1"


@pytest.mark.parametrize("content", NOT_OURS)
def test_so_is_a_handover_file_that_is_none(content: bytes) -> None:
    with pytest.raises(ClusterupError, match="handover file"):
        parse_handover(content, node="s1")


@pytest.mark.parametrize("content", [*NOT_OURS, b'{"format": 1, "kubernetes": {"minor": Infinity}}'])
def test_a_description_of_agents_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(Failure, match=r"describes its nodes|can't be understood"):
        parse_description(content.decode("utf-8", "replace"))


@pytest.mark.parametrize("note", [b"", DEEP.encode(), b"[]", b'{"who": "x"}', b"5"])
def test_a_note_in_a_lock_that_no_one_can_read_is_somebody_s(note: bytes) -> None:
    assert holder_in_words(note).startswith("somebody")


@pytest.mark.parametrize("note", [DEEP, "[]", "5", '{"taints": [1]}', '{"labels": 5}'])
def test_what_a_node_says_was_given_to_it_may_be_anything(note: str) -> None:
    assert given_to({"metadata": {"annotations": {GIVEN_ANNOTATION: note}}}) == Given()


@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED)
def test_what_was_made_for_a_server_and_can_t_be_read_is_said_to_be_so(
    packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Api:
        def get(self, *_: object) -> dict[str, Any]:
            return {"data": {MADE_KEY: base64.b64encode(packed).decode()}}

    @contextmanager
    def client(*_: object) -> Iterator[Api]:
        yield Api()

    monkeypatch.setattr(made_secret, "token_client", client)
    with pytest.raises(ClusterupError, match="can't be read"):
        made_for(Discovered(ServerUrl("127.0.0.1"), b""), Token("abcdef", "0123456789abcdef"))


def test_a_note_of_ours_is_read() -> None:
    note = {"who": "ada", "host": "h", "pid": 1, "since": "s", "doing": "apply"}
    assert holder_in_words(json.dumps(note).encode()) == "ada on h (process 1) since s: apply"
