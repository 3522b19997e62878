"""The key that Secrets are encrypted with: one for all servers, kept, handed over, and never made a second time."""

from __future__ import annotations

import base64
import dataclasses
import stat
from pathlib import Path

import pytest

from bootstrap.constants.paths import ENCRYPTION_YAML
from bootstrap.engine.plan import Plan
from bootstrap.errors import Refused
from bootstrap.facts.model import ClusterFacts
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.planning import prepare
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.pki.kubeconfig import write_kubeconfig
from bootstrap.protocol.files import NodeFile
from tests.helpers.worlds import finished_world, intent, written


@pytest.fixture
def lab(tmp_path: Path) -> Intent:
    return intent(tmp_path)


def again(of: Intent) -> Intent:
    """What the next command makes of the same inventory, state and bundle."""
    return intent_of(of.inventory, of.state, of.bundle, of.kubeconfig, written=written())


def on(of: Intent, node: str) -> NodeFile | None:
    return next((file for file in of.nodes[node].files if file.path == ENCRYPTION_YAML), None)


def test_all_servers_have_the_same_key_for_root_alone_and_agents_never_get_it(lab: Intent) -> None:
    first, second, third = (on(lab, server) for server in lab.servers)
    assert first is not None
    assert first == second == third
    assert first.mode == 0o600
    assert on(lab, "a1") is None


def test_the_key_is_kept_in_the_state_for_its_owner_alone_and_the_same_in_every_run(lab: Intent) -> None:
    key = lab.state.folder / "encryption-key"
    assert len(base64.b64decode(key.read_text())) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert on(again(lab), "s1") == on(lab, "s1")


def test_the_key_shows_in_no_command_line_and_in_no_representation(lab: Intent) -> None:
    key = (lab.state.folder / "encryption-key").read_text().strip()
    assert f"--encryption-provider-config={ENCRYPTION_YAML}" in lab.nodes["s1"].control_plane[0].argv
    assert key not in repr(lab)


def test_another_key_restarts_api_servers_and_nothing_else(lab: Intent) -> None:
    write_kubeconfig(lab.kubeconfig, admin_kubeconfig(lab.inventory, lab.keys))
    world = finished_world(lab)
    (lab.state.folder / "encryption-key").write_bytes(base64.b64encode(bytes(32)))
    plan: Plan[ClusterFacts] = prepare(again(lab), world, wipe=frozenset()).plan
    planned = {item.action.id for item in plan.items}
    assert planned == {f"{server}/{step}" for server in lab.servers for step in ("files", "handover", "control-plane")}
    changed = [
        [new.name for new, old in zip(again(lab).nodes[name].units, lab.nodes[name].units, strict=True) if new != old]
        for name in lab.nodes
    ]
    assert changed == [["kube-apiserver.service"]] * 3 + [[]]


def test_an_edited_file_on_one_server_is_put_back(lab: Intent) -> None:
    write_kubeconfig(lab.kubeconfig, admin_kubeconfig(lab.inventory, lab.keys))
    world = finished_world(lab)
    edited = dataclasses.replace(world.nodes["s2"], files={**world.nodes["s2"].files, ENCRYPTION_YAML: "0" * 64})
    changed = dataclasses.replace(world, seen={**world.seen, "s2": edited})
    plan: Plan[ClusterFacts] = prepare(lab, changed, wipe=frozenset()).plan
    assert [item.action.id for item in plan.items] == ["s2/files"]


def test_a_cluster_that_was_founded_never_gets_a_second_key(lab: Intent) -> None:
    lab.state.note_founded()
    (lab.state.folder / "encryption-key").unlink()
    with pytest.raises(Refused, match="has lost encryption-key") as refused:
        again(lab)
    assert "clusterup adopt" in refused.value.hint
    assert not (lab.state.folder / "encryption-key").exists()


@pytest.mark.parametrize("content", ["", "open sesame", "c2hvcnQ=", "\N{SNOWMAN}" * 44])
def test_a_damaged_key_is_refused_and_not_shown(lab: Intent, content: str) -> None:
    (lab.state.folder / "encryption-key").write_text(content)
    with pytest.raises(Refused, match="has a damaged file: encryption-key") as refused:
        again(lab)
    assert str(lab.state.folder / "encryption-key") in str(refused.value)
    assert not content or content not in str(refused.value)
