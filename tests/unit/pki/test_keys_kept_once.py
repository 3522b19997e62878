"""Keys and ids that several threads or processes ask for at the same time."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from bootstrap.errors import Refused
from bootstrap.pki.sshkeys import SshKey, kept_ssh_key, new_ssh_key
from bootstrap.pki.store import write_private
from bootstrap.pki.vault import UNFINISHED
from bootstrap.steps.state import ClusterState

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
