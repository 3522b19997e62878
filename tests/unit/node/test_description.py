"""What a joining machine takes from the cluster's description of its nodes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bootstrap.node.joining.description import agent_of, server_of
from bootstrap.protocol.failure import Failure
from tests.integration.kube.folders import description

PLACES = {
    "a unit's folder": "/etc/systemd/system/x.service",
    "the images": "/var/lib/clusterup/images/x.tar",
}
ELSEWHERE = [
    "/etc/clusterup/trusted_keys",
    "/root/.ssh/authorized_keys",
    "/usr/bin/kubelet",
    "/var/lib/kubelet/config",
    "/etc/../root/x",
    "etc/x",
]


def described(change: Callable[[dict[str, Any]], object] = lambda _: None) -> str:
    found = description()
    change(found)
    return json.dumps(found)


def test_its_files_have_its_name_and_its_address() -> None:
    agent = agent_of(described(), "a1", "192.0.2.9")
    assert {file.path: file.content for file in agent.files} == {
        "/etc/kubernetes/kubelet.yaml": b"node: a1 at 192.0.2.9\n",
        "/etc/clusterup/private": b"for a1\n",
    }
    assert {file.path: file.mode for file in agent.files}["/etc/clusterup/private"] == 0o600


def test_two_nodes_run_their_units_with_different_digests() -> None:
    one, other = (agent_of(described(), name, "192.0.2.9").kubelet[0].digest for name in ("a1", "a2"))
    assert one != other


@pytest.mark.parametrize("path", PLACES.values(), ids=PLACES)
def test_a_file_may_lie_where_agents_keep_theirs(path: str) -> None:
    text = described(lambda found: found["files"].append({"path": path, "mode": 420, "content": ""}))
    assert path in [file.path for file in agent_of(text, "a1", "192.0.2.9").files]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_nothing_else_of_the_machine_is_written_because_a_cluster_says_so(path: str) -> None:
    text = described(lambda found: found["files"].append({"path": path, "mode": 420, "content": ""}))
    with pytest.raises(Failure, match="can't be understood"):
        agent_of(text, "a1", "192.0.2.9")
    text = described(lambda found: found["images"][0].update(path=path))
    with pytest.raises(Failure, match="can't be understood"):
        agent_of(text, "a1", "192.0.2.9")


@pytest.mark.parametrize("name", ["../../root/x", "x/../../root"])
def test_a_name_leads_nowhere_else(name: str) -> None:
    text = described(lambda found: found["files"].append({"path": "/etc/clusterup/@NODE@", "mode": 420, "content": ""}))
    with pytest.raises(Failure, match="not a place for an agent's file"):
        agent_of(text, name, "192.0.2.9")


def test_a_server_s_unit_that_reads_what_was_not_made_is_refused() -> None:
    own = {
        "name": "s2",
        "address": "192.0.2.12",
        "etcd": [{"name": "etcd.service", "reads": ["/etc/none"]}],
        "control_plane": [],
        "handover": "{}",
        "node": {},
    }
    with pytest.raises(Failure, match="KeyError: '/etc/none'"):
        server_of(described(lambda found: found.update(server=own)))
