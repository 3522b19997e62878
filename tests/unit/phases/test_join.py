"""A Node is Ready when its kubelet says so that runs now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bootstrap.clients import tunnel as ways
from bootstrap.clients.kubernetes_errors import KubeError
from bootstrap.clients.tunnel import ApiServers
from bootstrap.inventory.model import Role
from bootstrap.operations.intent import Intent
from bootstrap.phases import kubelet as steps
from bootstrap.phases.kubelet import join
from bootstrap.pki.x509 import Usage, issue
from bootstrap.protocol.token import Token
from bootstrap.spec.node_services import KUBELET
from bootstrap.transport.base import Command, Result
from tests.helpers.local_transport import LocalTransport
from tests.helpers.one_node import OneNode
from tests.helpers.worlds import intent

BEFORE, AFTER = "2026-01-01T10:00:00Z", "2026-01-01T10:00:07Z"


def node(status: str, told: str) -> Mapping[str, Any]:
    return {"status": {"conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": told}]}}


@dataclass
class Api:
    """API servers that say something else of the Node each time; None where none of them answers."""

    says: list[Mapping[str, Any] | None]

    def get(self, kind: str, name: str) -> Mapping[str, Any]:
        assert (kind, name) == ("Node", "s1")
        said = self.says.pop(0)
        if said is None:
            raise KubeError("no API server answers", hint="wait")
        return said

    def list(self, *_: object, **__: object) -> list[object]:
        return []


@dataclass
class Node(LocalTransport):
    """A node whose kubelet has a certificate; `begins` are the units that would start again."""

    certificate: bytes = b""
    begins: tuple[str, ...] = ()

    def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        asked = stdin.decode()
        again = "".join(f"{name}\n" for name in self.begins if name in asked)
        said = {"read a certificate": self.certificate, "look at what runs": again.encode()}
        return Result(command, 0, said.get(command.name, b""), b"", 0.0)


@dataclass
class Context(OneNode):
    """A context in which waiting takes no time, and goes on over errors."""

    waited: list[str] = field(default_factory=list)

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout: float, every: float) -> None:
        self.waited.append(what)
        while True:
            try:
                if condition():
                    return
            except KubeError:
                continue


@pytest.fixture
def of(tmp_path: Path) -> Intent:
    return intent(tmp_path)


def joins(of: Intent, monkeypatch: pytest.MonkeyPatch, says: list[Mapping[str, Any] | None], *begins: str) -> Api:
    """What is left to be said when a node with a certificate has joined."""
    api = Api(says)

    @contextmanager
    def any_api(*_: object) -> Iterator[Api]:
        yield api

    for module in (steps, ways):
        monkeypatch.setattr(module, "any_api", any_api)
    made = issue(of.keys.pki.ca, common_name="system:node:s1", usage=Usage.CLIENT, organizations=["system:nodes"])
    context = Context(Node(certificate=made.cert_pem, begins=begins))
    join(context, of.nodes["s1"], ApiServers("lab", ("s1",), of.keys))
    assert "Node s1 to be Ready" in context.waited
    return api


def test_what_a_kubelet_said_before_it_was_restarted_does_not_count(
    of: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = node("True", BEFORE)
    api = joins(of, monkeypatch, [stale, stale, stale, node("False", AFTER), node("True", AFTER)], KUBELET)
    assert api.says == []


def test_a_kubelet_that_goes_on_running_need_not_say_it_again(of: Intent, monkeypatch: pytest.MonkeyPatch) -> None:
    api = joins(of, monkeypatch, [node("True", BEFORE)], "kube-proxy.service")
    assert api.says == []


def test_where_no_one_said_what_it_was_like_before_the_first_word_counts(
    of: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = joins(of, monkeypatch, [None, None, node("True", BEFORE)], KUBELET)
    assert api.says == []


@pytest.mark.parametrize(("name", "role"), [("s1", Role.SERVER), ("a1", Role.AGENT)])
def test_a_kubelet_without_a_certificate_is_started_again_with_a_token_for_its_node_and_its_role(
    of: Intent, monkeypatch: pytest.MonkeyPatch, name: str, role: Role
) -> None:
    @contextmanager
    def any_api(*_: object) -> Iterator[Api]:
        yield Api([])

    did: list[object] = []

    def give_token(_: object, *whom: object) -> Token:
        did.append(whom)
        return Token("abcdef", "0123456789abcdef")

    @dataclass
    class Tells(Node):
        def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
            did.append(command.name)
            return super().check(command, stdin=stdin, timeout=timeout)

    for module in (steps, ways):
        monkeypatch.setattr(module, "any_api", any_api)
    monkeypatch.setattr(steps, "give_token", give_token)
    monkeypatch.setattr(steps, "_last_told", lambda *_: None)
    monkeypatch.setattr(steps, "_ready", lambda *_: True)
    join(Context(Tells()), of.nodes[name], ApiServers("lab", ("s1",), of.keys))
    done = [each for each in did if each in ((name, role), "stop kubelet.service", "write files", "start units")]
    assert done == ["stop kubelet.service", (name, role), "write files", "start units"]
    # The request that it made with an older token goes with its key.
    stopped = did.index("stop kubelet.service")
    assert did[stopped : stopped + 3] == ["stop kubelet.service", "remove a file", (name, role)]
