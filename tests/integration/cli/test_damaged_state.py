"""A state that is damaged in any of its files: each command that looks says so in words, and makes no key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootstrap.state.membership import note_applied
from tests.integration.cli.operators import INVENTORY, LOOKS, code_of, said, state_of, tree, types
from tests.simulator.cluster import SimulatedCluster, simulated_cluster

DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "emptied": lambda _: b"",
    "halved": lambda content: content[: len(content) // 2],
    "removed": lambda _: None,
    "garbled": lambda content: bytes(byte ^ 0xA5 for byte in content) or b"\xa5",
}
# What makes the cluster this one.
KEYS = ("ca.crt", "ca.key", "sa.key", "sa.pub")
ROOTS = ("cluster-id", "encryption-key", "ssh/id_ed25519", *(f"pki/{name}" for name in KEYS))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedCluster]:
    """A cluster that was applied, with every file that a state can have."""
    with simulated_cluster(tmp_path_factory.mktemp("damaged"), servers=1, agents=1) as cluster:
        intent = cluster.intent()
        cluster.install()
        state = intent.state
        state.note_founded()
        note_applied(state, intent.inventory.nodes)
        for desired in intent.nodes.values():
            state.host_keys.pin(desired.node.name, "installed", state.identity(desired.node.name).host_key.public)
            state.note_installed(desired.node.name)
            if desired.handover is not None:
                state.note_handover(desired.handover.sha256)
        (state.folder / "past-lives").write_text(f"{'0' * 64}\n")
        (state.folder / "journal.jsonl").write_text('{"event": "RunStarted", "run": "1", "time": 1}\n')
        yield cluster


@pytest.fixture
def founded(made: SimulatedCluster, monkeypatch: pytest.MonkeyPatch) -> SimulatedCluster:
    monkeypatch.chdir(made.folder)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damage_to_any_file_ends_in_a_traceback_or_makes_a_key(
    founded: SimulatedCluster, damage: str, record_property: Callable[[str, object], None]
) -> None:
    state = state_of(founded)
    whole = {path: path.read_bytes() for path in sorted(state.rglob("*")) if path.is_file()}
    tried = 0
    for path, content in whole.items():
        hurt = DAMAGES[damage](content)
        if hurt is None:
            path.unlink()
        else:
            path.write_bytes(hurt)
        before = tree(state)
        for look in LOOKS.values():
            said(types(*look))
            assert tree(state) == before, (path, look)
            tried += 1
        path.write_bytes(content)
    record_property("tried", tried)
    print(f"\n{damage}: {len(whole)} files, {tried} commands tried, 0 tracebacks, 0 new keys")
    assert len(whole) > 40
    assert tried == len(whole) * len(LOOKS)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ROOTS)
def test_what_the_cluster_can_t_do_without_is_named_with_the_way_back(
    founded: SimulatedCluster, name: str, damage: str
) -> None:
    path = state_of(founded) / name
    content = path.read_bytes()
    hurt = DAMAGES[damage](content)
    try:
        if hurt is None:
            path.unlink()
        else:
            path.write_bytes(hurt)
        done = types("plan", INVENTORY)
    finally:
        path.write_bytes(content)
    assert code_of(done) == 4, said(done)
    assert str(path) in said(done)
    assert "clusterup adopt root@SERVER" in said(done)
    assert "PRIVATE" not in said(done)


def test_a_state_of_a_newer_version_is_left_alone(founded: SimulatedCluster) -> None:
    path = state_of(founded) / "format"
    content = path.read_text()
    path.write_text("2\n")
    done = types("plan", INVENTORY)
    path.write_text(content)
    assert code_of(done) == 2
    assert "a newer clusterup has written the state of this cluster" in said(done)


def test_down_of_a_cluster_whose_ssh_key_is_lost_forgets_nothing(founded: SimulatedCluster) -> None:
    path = state_of(founded) / "ssh" / "id_ed25519"
    content = path.read_bytes()
    path.unlink()
    before = tree(state_of(founded))
    done = types("down", INVENTORY, "--yes")
    after = tree(state_of(founded))
    path.write_bytes(content)
    assert after == before
    assert code_of(done) == 4
    assert "the state here has lost id_ed25519" in said(done)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's folder can only be made by root")
def test_a_folder_that_is_somebody_else_s_is_named(founded: SimulatedCluster, tmp_path: Path) -> None:
    theirs = tmp_path / "file"
    theirs.write_text("not a folder")
    os.environ["XDG_STATE_HOME"] = str(theirs)
    try:
        done = types("apply", INVENTORY, "--yes")
    finally:
        os.environ["XDG_STATE_HOME"] = founded.environment["XDG_STATE_HOME"]
    assert code_of(done) in (1, 2)
    assert str(theirs) in said(done)
