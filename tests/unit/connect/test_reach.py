"""Whose host keys are believed: those that clusterup made itself, on any operator's machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bootstrap.connect import ssh as reach
from bootstrap.connect.ssh import opener, target_of
from bootstrap.errors import Refused
from bootstrap.inventory.model import Ssh
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.state.cluster import INSTALLED, LIVE, ClusterState
from bootstrap.transport.connect import Trust
from bootstrap.transport.errors import TransportError
from bootstrap.transport.hostkeys import HostKeys
from bootstrap.transport.target import OwnLogin, SshTarget
from tests.helpers.worlds import inventory


@pytest.fixture
def state(tmp_path: Path) -> ClusterState:
    return ClusterState(tmp_path)


def trust_of(state: ClusterState, monkeypatch: pytest.MonkeyPatch) -> Trust:
    """What the way into s1 is opened with."""
    seen: list[Trust] = []

    def open_ssh(_: SshTarget, __: HostKeys, trust: Trust, **_more: float) -> None:
        seen.append(trust)

    monkeypatch.setattr(reach, "open_ssh", open_ssh)
    opener(inventory(), state, None)("s1")
    return seen[0]


def test_the_host_key_of_the_node_s_identity_needs_no_question(
    state: ClusterState, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = trust_of(state, monkeypatch)
    assert trust("s1", state.identity("s1").host_key.public, {}) == INSTALLED
    for other in (state.identity("s2").host_key.public, new_ssh_key().public):
        with pytest.raises(Refused, match="not known yet"):
            trust("s1", other, {})


def test_a_machine_may_be_silent_for_as_long_as_the_inventory_says(state: ClusterState) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        way = Ssh(host="127.0.0.1", port=silent.getsockname()[1], silence=1, use_config=False)
        node = inventory().node("s1").model_copy(update={"ssh": way})
        with pytest.raises(TransportError, match=r"said nothing for 1 s(.|\n)*ssh\.silence"):
            opener(inventory().model_copy(update={"nodes": (node,)}), state, None)("s1")


def test_a_jump_host_is_no_node_whatever_its_name(state: ClusterState, monkeypatch: pytest.MonkeyPatch) -> None:
    trust = trust_of(state, monkeypatch)
    with pytest.raises(Refused, match="not known yet"):
        trust("jump:s1:22", state.identity("s1").host_key.public, {})


def test_beside_a_pinned_live_key_the_identity_s_is_pinned_too(state: ClusterState) -> None:
    live = new_ssh_key().public
    state.host_keys.pin("s1", LIVE, live)
    opener(inventory(), state, None)
    assert state.host_keys.all_pinned() == {"s1": {LIVE: live, INSTALLED: state.identity("s1").host_key.public}}


def test_a_refreshed_identity_takes_the_place_of_the_pinned_one(state: ClusterState) -> None:
    state.host_keys.pin("s1", INSTALLED, new_ssh_key().public)
    opener(inventory(), state, None)
    assert state.host_keys.pinned("s1") == {INSTALLED: state.identity("s1").host_key.public}


def test_the_cluster_s_own_key_is_root_s_where_the_node_s_identity_is_shown(state: ClusterState) -> None:
    target = target_of(inventory().node("s1"), state.identity("s1").host_key.public, state)
    assert (target.keys, target.own) == (
        (),
        OwnLogin(state.identity("s1").host_key.public, "root", state.ssh_key_file, state.ssh_key.private),
    )
