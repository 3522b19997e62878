"""Keys and ids that several threads or processes ask for at the same time."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from bootstrap.pki.encryption import kept_encryption_key
from bootstrap.pki.sshkeys import SshKey, kept_ssh_key, new_ssh_key
from bootstrap.steps.identity import kept_id

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


def test_all_who_ask_for_an_id_at_once_get_the_same(tmp_path: Path) -> None:
    assert len(set(all_at_once(lambda: kept_id(tmp_path / "cluster-id")))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster-id"]


def test_all_who_ask_for_the_encryption_key_at_once_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "encryption-key"
    assert set(all_at_once(lambda: kept_encryption_key(path))) == {path.read_text().strip()}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
