"""Keys and ids that several threads or processes ask for at the same time."""

from __future__ import annotations

import fcntl
import re
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from bootstrap.errors import Refused
from bootstrap.locks import is_held, steady, waiting_lock
from bootstrap.pki.sshkeys import SshKey, kept_ssh_key, new_ssh_key
from bootstrap.pki.store import strangers_in
from bootstrap.pki.vault import UNFINISHED
from bootstrap.state.cluster import ClusterState
from bootstrap.written import write_private

ASKERS = 16
T = TypeVar("T")


def all_at_once(ask: Callable[[], T]) -> list[T]:
    start = threading.Barrier(ASKERS)

    def one() -> T:
        start.wait()
        return ask()

    with ThreadPoolExecutor(ASKERS) as pool:
        return [future.result() for future in [pool.submit(one) for _ in range(ASKERS)]]


def public_of(key: SshKey) -> str:
    return (
        load_ssh_private_key(key.private, None)
        .public_key()
        .public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        .decode()
    )


def test_all_who_ask_for_a_key_at_once_get_the_same_pair(tmp_path: Path) -> None:
    path = tmp_path / "ssh" / "id_ed25519"
    keys = all_at_once(lambda: kept_ssh_key(path))
    assert {key.private for key in keys} == {path.read_bytes()}
    assert {key.public for key in keys} == {public_of(keys[0])}
    assert path.with_name("id_ed25519.pub").read_text().strip() == keys[0].public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_public_key_that_is_another_one_s_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    key = kept_ssh_key(path)
    path.with_name("id_ed25519.pub").write_text(new_ssh_key().public)
    assert kept_ssh_key(path) == key
    assert path.with_name("id_ed25519.pub").read_text().strip() == public_of(key)


def test_all_who_ask_a_state_at_once_get_the_same_and_nothing_is_written(tmp_path: Path) -> None:
    state = ClusterState(tmp_path / "lab")
    answers = all_at_once(lambda: (state.cluster_id, state.encryption_key, state.pki.ca.cert_pem, state.identity("s1")))
    assert len({(one, key, authority) for one, key, authority, _ in answers}) == 1
    assert len({identity.host_key.public for *_, identity in answers}) == 1
    assert not (tmp_path / "lab").exists()


def test_what_was_made_is_written_for_its_owner_alone_and_found_by_whoever_comes_next(tmp_path: Path) -> None:
    state = ClusterState(tmp_path / "above" / "lab")
    made = (state.cluster_id, state.encryption_key, state.pki, state.identity("s1"))
    state.keep_made()
    files = [path for path in state.folder.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    folders = [tmp_path / "above", *(path for path in (tmp_path / "above").rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    again = ClusterState(state.folder)
    assert (again.cluster_id, again.encryption_key, again.pki, again.identity("s1")) == made
    assert again.vault.made == ()


def test_keys_that_two_have_made_at_once_are_those_of_the_first_who_wrote(tmp_path: Path) -> None:
    first, second = ClusterState(tmp_path), ClusterState(tmp_path)
    assert first.pki != second.pki
    first.keep_made()
    assert second.vault.overtaken
    with pytest.raises(Refused, match="another clusterup has made keys"):
        second.keep_made()
    assert ClusterState(tmp_path).pki == first.pki


def test_whoever_comes_after_a_power_cut_goes_on_with_the_keys_that_were_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = ClusterState(tmp_path)
    made = (state.cluster_id, state.pki, state.identity("s1"))
    written: list[Path] = []

    def write_some(path: Path, content: bytes) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(path)
        write_private(path, content)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("bootstrap.pki.vault.write_private", write_some)
        state.keep_made()
    later = ClusterState(tmp_path)
    assert (later.cluster_id, later.pki, later.identity("s1")) == made
    later.keep_made()
    assert not (tmp_path / UNFINISHED).exists()
    assert (ClusterState(tmp_path).cluster_id, ClusterState(tmp_path).pki) == made[:2]


def test_what_was_being_written_does_not_win_over_what_somebody_has_written_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = ClusterState(tmp_path)
    made = state.identity("n4")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("bootstrap.pki.vault._sync", raise_interrupt)
        state.keep_made()
    assert (tmp_path / UNFINISHED).exists()
    # Another operator has finished it, and this machine takes over what they have.
    theirs = ClusterState(tmp_path / "theirs").identity("n4")
    write_private(tmp_path / "nodes" / "n4" / "machine-id", theirs.machine_id.encode())
    write_private(tmp_path / "nodes" / "n4" / "ssh_host_ed25519_key", theirs.host_key.private)
    later = ClusterState(tmp_path)
    assert later.identity("n4") == theirs != made
    later.keep_made()
    assert ClusterState(tmp_path).identity("n4") == theirs


def raise_interrupt(_: object) -> None:
    raise KeyboardInterrupt


def test_who_looks_waits_for_who_writes_and_makes_no_lock_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "keys.lock"
    with steady(path):
        assert not path.exists()
    with waiting_lock(path):
        assert is_held(path)
    before = path.stat()
    with steady(path), path.open("rb") as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == (before.st_mtime_ns, b"")


def test_a_node_is_noted_as_installed_only_when_what_leads_into_it_is_kept(tmp_path: Path) -> None:
    state = ClusterState(tmp_path)
    identity, key = state.identity("w1"), state.ssh_key
    state.note_installed("w1")
    later = ClusterState(tmp_path)
    assert (later.identity("w1"), later.ssh_key, later.was_installed("w1")) == (identity, key, True)
    later.forget_identity("w1")
    assert not later.was_installed("w1")
    assert ClusterState(tmp_path).identity("w1") != identity


KINDS = ("emptied", "halved", "removed")
PARTS = ("cluster-id", "encryption-key", "ssh/id_ed25519")
PAIRS = tuple(f"pki/{name}" for name in ("ca.crt", "ca.key", "etcd/ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"))


def hurt(path: Path, kind: str) -> None:
    if kind == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if kind == "emptied" else path.stat().st_size // 2])


def everything(state: ClusterState) -> None:
    """All that a look reads."""
    assert state.cluster_id
    assert state.encryption_key
    assert state.ssh_key
    assert strangers_in(state.pki) == {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*PARTS, *PAIRS])
def test_what_is_said_of_a_state_that_nothing_was_made_with_leads_out_of_it(
    tmp_path: Path, name: str, kind: str
) -> None:
    everything(state := ClusterState(tmp_path))
    state.keep_made()
    hurt(tmp_path / name, kind)
    if kind != "removed":
        with pytest.raises(Refused) as refused:
            everything(ClusterState(tmp_path))
        (command,) = re.findall(r"\(mv (\S+) (\S+)\)", refused.value.hint)
        Path(command[0]).rename(command[1])
    again = ClusterState(tmp_path)
    everything(again)
    again.keep_made()
    everything(ClusterState(tmp_path))
    assert ClusterState(tmp_path).vault.made == ()


@pytest.mark.parametrize(("private", "public"), [("pki/ca.key", "pki/ca.crt"), ("pki/sa.key", "pki/sa.pub")])
def test_of_a_founded_cluster_both_halves_that_do_not_belong_together_are_named(
    tmp_path: Path, private: str, public: str
) -> None:
    everything(state := ClusterState(tmp_path / "lab"))
    state.keep_made()
    state.note_founded()
    everything(other := ClusterState(tmp_path / "other"))
    other.keep_made()
    (state.folder / public).write_bytes((other.folder / public).read_bytes())
    with pytest.raises(Refused, match="it does not belong to") as refused:
        everything(ClusterState(state.folder))
    for name in (private, public):
        assert f"mv {state.folder / name} {state.folder / name}.damaged" in refused.value.hint
    assert "clusterup adopt" in refused.value.hint
