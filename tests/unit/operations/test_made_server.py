"""What is made for a server that joins by itself: read on the node, it is what an apply would make of that node."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bootstrap.constants.objects import CONTROL_PLANE, JOIN_MANIFEST, JOIN_MANIFEST_KEY
from bootstrap.constants.paths import KUBELET_REGISTRATION
from bootstrap.errors import BadUse, Refused
from bootstrap.node.joining.description import server_of
from bootstrap.operations.intent import Intent
from bootstrap.operations.made_server import check_may_join, made_server
from bootstrap.phases.node_metadata import node_patch
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.join_manifest import parse_description
from bootstrap.state.handover import parse_handover
from tests.unit.spec.test_published import of_document

SERVERS = {
    "cluster": {"name": "lab", "allow_even_servers": True},
    "nodes": [
        {"name": "s1", "role": "server", "address": "10.77.0.11"},
        {"name": "s2", "role": "server", "address": "10.77.0.12", "labels": {"rack": "r2"}},
        {"name": "a1", "address": "10.77.0.21"},
    ],
}


@pytest.fixture
def of(tmp_path: Path) -> Intent:
    return of_document(tmp_path, **SERVERS)


def text(of: Intent) -> str:
    return gzip.decompress(made_server(of, "s2")).decode()


def test_read_on_the_node_it_has_the_files_and_the_units_that_an_apply_gives_it(of: Intent) -> None:
    agent, parts = server_of(text(of))
    wanted = of.nodes["s2"]
    found = {file.path: (file.content, file.mode) for file in agent.files}
    for file in wanted.files:
        assert found[file.path] == (file.content, file.mode), file.path
    for ours, theirs in (
        (wanted.runtime, agent.runtime),
        (wanted.etcd, parts.etcd),
        (wanted.control_plane, parts.control_plane),
        (wanted.kubelet, agent.kubelet),
    ):
        assert [(unit.name, unit.digest) for unit in ours] == [(unit.name, unit.digest) for unit in theirs]
    assert (parts.name, parts.address) == ("s2", "10.77.0.12")


def test_it_asks_the_other_servers_and_not_itself(of: Intent) -> None:
    assert server_of(text(of))[0].servers == ("10.77.0.11",)


def test_it_shows_the_host_key_that_its_operator_knows_and_lets_the_operator_in(of: Intent) -> None:
    found = {file.path: file for file in server_of(text(of))[0].files}
    key = found["/etc/ssh/ssh_host_ed25519_key"]
    assert (key.content, key.mode) == (of.state.identity("s2").host_key.private, 0o600)
    assert of.state.ssh_key.public in found["/etc/ssh/authorized_keys.d/root"].content.decode()
    assert json.loads(found["/etc/clusterup/cluster.json"].content)["role"] == "server"


def test_it_keeps_for_the_next_operator_what_the_other_servers_keep(of: Intent) -> None:
    _, parts = server_of(text(of))
    wanted = of.nodes["s1"].handover
    assert wanted is not None
    assert parts.handover.content == wanted.content
    assert parse_handover(parts.handover.content, node="s2").cluster == "lab"


def test_with_what_is_merged_into_its_node_an_apply_finds_nothing_to_do_there(of: Intent) -> None:
    _, parts = server_of(text(of))
    # Its own labels the kubelet gives it, and its taints.
    metadata = {"resourceVersion": "1", **parts.node["metadata"]}
    registered = next(file.content.decode() for file in of.nodes["s2"].files if file.path == KUBELET_REGISTRATION)
    assert registered.endswith(f"--register-with-taints={CONTROL_PLANE}=:NoSchedule\n")
    spec = {"taints": [{"key": CONTROL_PLANE, "effect": "NoSchedule"}]}
    assert node_patch(of.nodes["s2"].node, {"metadata": metadata, "spec": spec}) == {}


def test_what_the_node_does_not_understand_it_says() -> None:
    with pytest.raises(Failure, match="can't be understood"):
        server_of('{"format": 1}')
    with pytest.raises(Failure, match="format that this version of clusterup does not know"):
        server_of('{"format": 7}')


class Cluster:
    """As much of an API server as is asked."""

    def __init__(self, *nodes: str, description: str | None) -> None:
        self.nodes, self.description = nodes, description

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        if kind == "Node":
            return {} if name in self.nodes else None
        assert (kind, name) == ("ConfigMap", JOIN_MANIFEST)
        return {"data": {JOIN_MANIFEST_KEY: self.description}} if self.description else None


def description_of(of: Intent) -> str:
    (found,) = [each for each in of.objects if each["metadata"]["name"] == JOIN_MANIFEST]
    return str(found["data"][JOIN_MANIFEST_KEY])


def test_a_server_of_the_inventory_that_is_not_there_yet_may_join(of: Intent) -> None:
    check_may_join(Cluster("s1", description=description_of(of)), of, "s2")  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "said"), [("a1", "a1 is an agent there"), ("s9", "servers: s1, s2")])
def test_who_is_no_server_of_the_inventory_is_refused(of: Intent, name: str, said: str) -> None:
    with pytest.raises(BadUse, match=f"no server {name}") as refused:
        check_may_join(Cluster(description=None), of, name)  # type: ignore[arg-type]
    assert said in str(refused.value)


def test_one_that_is_there_and_nodes_that_are_made_of_something_else_are_refused(of: Intent) -> None:
    with pytest.raises(Refused, match="s2 is a node of the cluster already"):
        check_may_join(Cluster("s2", description=None), of, "s2")  # type: ignore[arg-type]
    for other in (None, _of_another_payload(description_of(of))):
        with pytest.raises(Refused, match="not made of the bundle here"):
            check_may_join(Cluster(description=other), of, "s2")  # type: ignore[arg-type]


def _of_another_payload(described: str) -> str:
    data = json.loads(described)
    data["payload"]["sha256"] = "0" * 64
    changed = json.dumps(data)
    assert parse_description(changed)
    return changed
