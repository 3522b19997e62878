"""The handover file: what is in it, that it is the same every time, and what a reader refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bootstrap.constants.paths import HANDOVER
from bootstrap.engine.plan import Plan
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.planning import prepare
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.pki.kubeconfig import write_kubeconfig
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.protocol.files import NodeFile
from bootstrap.state.cluster import LIVE
from bootstrap.state.handover import handover_file, handover_of, parse_handover
from tests.helpers.worlds import bundle, finished_world, intent, inventory, written


@pytest.fixture
def lab(tmp_path: Path) -> Intent:
    return intent(tmp_path)


def handover(of: Intent) -> NodeFile:
    file = of.nodes["s1"].handover
    assert file is not None
    return file


def again(of: Intent, text: bytes | None = None) -> Intent:
    """What the next command makes of the same inventory, state and bundle."""
    return intent_of(of.inventory, of.state, of.bundle, of.kubeconfig, written=text or written())


def planned(of: Intent, world: ClusterFacts) -> dict[str, str]:
    plan: Plan[ClusterFacts] = prepare(of, world, wipe=frozenset()).plan
    return {item.action.id: item.why for item in plan.items}


def done_world(of: Intent) -> ClusterFacts:
    write_kubeconfig(of.kubeconfig, admin_kubeconfig(of.inventory, of.keys))
    return finished_world(of)


def with_handover(world: ClusterFacts, node: str, **files: str) -> ClusterFacts:
    """The world with another handover file on a node, or with none."""
    facts = world.nodes[node]
    kept = {path: digest for path, digest in facts.files.items() if path != HANDOVER}
    return dataclasses.replace(world, seen={**world.seen, node: dataclasses.replace(facts, files={**kept, **files})})


def test_servers_keep_it_for_root_alone_and_agents_never_get_it(lab: Intent) -> None:
    assert handover(lab).path == "/var/lib/clusterup/handover.json"
    assert handover(lab).mode == 0o600
    assert {name for name, node in lab.nodes.items() if node.handover == handover(lab)} == {"s1", "s2", "s3"}
    assert lab.nodes["a1"].handover is None


def test_the_same_state_makes_the_same_bytes(lab: Intent) -> None:
    assert handover(again(lab)).content == handover(lab).content


def test_what_an_apply_notes_in_the_state_does_not_change_it(lab: Intent) -> None:
    lab.state.note_founded()
    lab.state.note_handover("0" * 64)
    lab.state.host_keys.pin("s1", LIVE, new_ssh_key().public)
    lab.state.journal.write_text("{}\n")
    assert handover(again(lab)).content == handover(lab).content


def test_what_is_left_of_nodes_that_are_gone_is_not_handed_over(lab: Intent) -> None:
    lab.state.identity("gone")
    (lab.state.pki_folder / "nodes" / "gone").mkdir()
    (lab.state.pki_folder / "nodes" / "gone" / "apiserver.key").write_text("old")
    assert handover(again(lab)).content == handover(lab).content


def test_everything_comes_back_out_of_it(lab: Intent) -> None:
    found = parse_handover(handover(lab).content, node="s1")
    assert found.cluster == "lab"
    assert found.written == written()
    assert found.inventory == lab.inventory
    assert found.cluster_id == lab.state.cluster_id
    assert handover_file(found) == handover(lab)
    certificates = {str(path.relative_to(lab.state.folder)) for path in lab.state.pki_folder.rglob("*.*")}
    identities = {f"nodes/{name}/{part}" for name in lab.nodes for part in ("machine-id", "ssh_host_ed25519_key")}
    assert set(found.parts) == certificates | identities | {"cluster-id", "ssh/id_ed25519", "encryption-key"}
    for name, content in found.parts.items():
        assert (lab.state.folder / name).read_bytes() == content


def test_comments_and_a_byte_order_mark_of_the_inventory_are_kept(lab: Intent) -> None:
    text = "\ufeff# Grüße\r\n".encode() + written()
    assert parse_handover(handover(again(lab, text)).content, node="s1").written == text


def test_it_shows_no_secret(lab: Intent) -> None:
    shown = repr(lab.nodes["s1"]) + repr(handover_of(lab.inventory, written(), lab.state, lab.bundle))
    assert "PRIVATE KEY" not in shown
    assert (lab.state.folder / "encryption-key").read_text().strip() not in shown


def test_a_server_without_it_gets_it_and_nothing_else_happens(lab: Intent) -> None:
    world = done_world(lab)
    assert planned(lab, world) == {}
    assert planned(lab, with_handover(world, "s2")) == {"s2/handover": f"{HANDOVER} is missing"}


def test_a_changed_comment_in_the_inventory_touches_no_other_file_and_no_unit(lab: Intent) -> None:
    world = done_world(lab)
    lab.state.note_handover(handover(lab).sha256)
    changes = planned(again(lab, b"# Three servers.\n" + written()), world)
    why = f"{HANDOVER} is older than the inventory, the keys or the bundle here"
    assert changes == {f"{name}/handover": why for name in ("s1", "s2", "s3")}


def test_one_that_was_written_from_elsewhere_is_said_to_be(lab: Intent) -> None:
    changes = planned(lab, with_handover(done_world(lab), "s1", **{HANDOVER: "0" * 64}))
    assert list(changes) == ["s1/handover"]
    assert "another operator may have applied since" in changes["s1/handover"]


def test_it_is_kept_when_the_server_is_a_member_and_not_before(lab: Intent) -> None:
    world = finished_world(lab)
    stopped = dataclasses.replace(world, etcd=None)
    plan = prepare(lab, with_handover(stopped, "s1"), wipe=frozenset()).plan
    after = {item.action.id: item.after for item in plan.items}
    assert after["s1/handover"] == ("s1/etcd.member",)


def changed(of: Intent, **changes: Any) -> bytes:
    data = json.loads(handover(of).content)
    return json.dumps({**data, **changes}).encode()


def with_part(of: Intent, name: str, text: str | None) -> bytes:
    state = json.loads(handover(of).content)["state"]
    return changed(of, state={key: value for key, value in {**state, name: text}.items() if value is not None})


@pytest.mark.parametrize(
    "name",
    [
        "../lab2/cluster-id",
        "/etc/passwd",
        "pki/nodes/../../ssh/id_ed25519.crt",
        "pki/nodes/s1/../ca.key",
        "nodes/s1/../../x/machine-id",
        "nodes/S1/machine-id",
        "journal.jsonl",
        "hostkeys.json",
        "ssh/id_ed25519\n",
        "",
    ],
)
def test_a_name_that_is_never_handed_over_is_refused(lab: Intent, name: str) -> None:
    with pytest.raises(ClusterupError, match="holds what is never handed over") as refused:
        parse_handover(with_part(lab, name, "x"), node="s1")
    assert repr(name) in str(refused.value)


def test_a_part_that_can_t_be_read_is_named_and_its_content_is_not_shown(lab: Intent) -> None:
    for name in ("pki/ca.crt", "pki/ca.key", "pki/sa.pub", "ssh/id_ed25519", "nodes/a1/machine-id", "encryption-key"):
        with pytest.raises(ClusterupError, match="is damaged") as refused:
            parse_handover(with_part(lab, name, "open sesame"), node="s1")
        assert f"{name} can't be read" in str(refused.value)
        assert "open sesame" not in str(refused.value)


@pytest.mark.parametrize("name", ["cluster-id", "encryption-key", "pki/etcd/ca.key", "nodes/a1/ssh_host_ed25519_key"])
def test_one_that_lacks_a_part_is_refused(lab: Intent, name: str) -> None:
    with pytest.raises(ClusterupError, match="is damaged") as refused:
        parse_handover(with_part(lab, name, None), node="s1")
    assert f"lacks {name}" in str(refused.value)


def test_one_that_was_cut_short_is_refused(lab: Intent) -> None:
    content = handover(lab).content
    for damaged in (b"", b"[]", b"{}", content[: len(content) // 2], b"\xff" + content):
        with pytest.raises(ClusterupError, match="is damaged"):
            parse_handover(damaged, node="s1")


def test_one_of_a_later_format_says_so(lab: Intent) -> None:
    with pytest.raises(ClusterupError, match=r"a format that this clusterup doesn't know \(2\)") as refused:
        parse_handover(changed(lab, format=2), node="s1")
    assert refused.value.node == "s1"


def test_one_with_an_inventory_of_another_cluster_or_of_a_later_version_is_refused(lab: Intent) -> None:
    with pytest.raises(ClusterupError, match="is damaged"):
        parse_handover(changed(lab, inventory=written(name="other").decode()), node="s1")
    with pytest.raises(ClusterupError, match="does not understand") as refused:
        parse_handover(changed(lab, inventory=written(from_the_future=1).decode()), node="s1")
    assert "from_the_future" in str(refused.value)


def test_another_bundle_is_in_it_and_what_nodes_do_not_get_of_a_bundle_is_not(lab: Intent, tmp_path: Path) -> None:
    newer = intent_of(
        inventory(), lab.state, bundle(tmp_path / "newer", b"another payload"), lab.kubeconfig, written=written()
    )
    assert handover(newer).sha256 != handover(lab).sha256
    more = dataclasses.replace(
        lab.bundle,
        artifacts={**lab.bundle.artifacts, "live": dataclasses.replace(lab.bundle.artifact("os"), name="live")},
    )
    same = intent_of(inventory(), lab.state, more, lab.kubeconfig, written=written())
    assert handover(same) == handover(lab)


@pytest.mark.parametrize(
    "content",
    [b"[" * 200_000, b'{"format": ' + b"9" * 5_000 + b"}", b'{"format": 1, "cluster": "../x"}', b" " * (33 << 20)],
    ids=["deep", "a long number", "a path for a name", "long"],
)
def test_one_that_is_made_to_harm_its_reader_is_damaged(content: bytes) -> None:
    with pytest.raises(ClusterupError, match="is damaged") as refused:
        parse_handover(content, node="s1")
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize("cluster", ["../../etc", "lab\x1b[2J", "", "Lab", 5, None])
def test_a_cluster_s_name_that_could_not_be_one_never_becomes_a_path(lab: Intent, cluster: object) -> None:
    with pytest.raises(ClusterupError, match="is damaged") as refused:
        parse_handover(changed(lab, cluster=cluster), node="s1")
    assert str(refused.value).replace("\n", "").isprintable()


def test_an_inventory_of_a_few_bytes_that_stands_for_gigabytes_is_not_understood(lab: Intent) -> None:
    bomb = "\n".join([f"a0: &a0 [{'x,' * 9}]", *(f"a{n}: &a{n} [{f'*a{n - 1},' * 9}]" for n in range(1, 10))])
    with pytest.raises(ClusterupError, match="does not understand") as refused:
        parse_handover(changed(lab, inventory=bomb), node="s1")
    assert "more than 200,000 values" in str(refused.value)


def test_a_format_that_no_one_knows_is_shown_short_and_harmless(lab: Intent) -> None:
    with pytest.raises(ClusterupError, match="a format that this clusterup doesn't know") as refused:
        parse_handover(changed(lab, format="\x1b[2J" + "x" * 5000), node="s1")
    assert len(str(refused.value)) < 1_000
    assert "\x1b" not in str(refused.value)
