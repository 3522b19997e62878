"""Certificates and keys of a cluster."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bootstrap.pki.sshkeys import fingerprint, kept_ssh_key
from bootstrap.pki.store import kept_leaf, kept_pki
from bootstrap.pki.token import ca_pin
from bootstrap.pki.vault import Vault
from bootstrap.pki.x509 import (
    KeyPair,
    Usage,
    belong_together,
    expires,
    hosts_of,
    issue,
    new_authority,
    signed_by,
)


def openssl(*arguments: str, stdin: bytes = b"") -> str:
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True).stdout.decode()


def test_a_leaf_is_accepted_by_openssl_for_the_hosts_and_the_purpose_it_was_made_for(tmp_path: Path) -> None:
    authority = new_authority("kubernetes")
    leaf = issue(authority, common_name="s1", usage=Usage.SERVER, hosts=["s1", "10.77.0.11"])
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem)
    (tmp_path / "leaf.crt").write_bytes(leaf.cert_pem)
    answer = openssl(
        "verify", "-CAfile", str(tmp_path / "ca.crt"), "-purpose", "sslserver", "-verify_ip", "10.77.0.11",
        str(tmp_path / "leaf.crt"),
    )  # fmt: skip
    assert answer.strip().endswith("OK")
    assert hosts_of(leaf.cert_pem) == {"s1", "10.77.0.11"}


def test_groups_stand_in_the_subject_as_organizations() -> None:
    leaf = issue(new_authority("x"), common_name="admin", usage=Usage.CLIENT, organizations=["system:masters"])
    subject = openssl("x509", "-noout", "-subject", stdin=leaf.cert_pem)
    assert "O = system:masters" in subject
    assert "CN = admin" in subject


def test_the_pin_is_the_one_that_kubeadm_s_manual_computes_with_openssl() -> None:
    authority = new_authority("kubernetes")
    public = openssl("x509", "-noout", "-pubkey", stdin=authority.cert_pem).encode()
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "der"], input=public, capture_output=True, check=True
    ).stdout
    digest = openssl("dgst", "-sha256", "-r", stdin=der).split()[0]
    assert ca_pin(authority.cert_pem) == f"sha256:{digest}"


def test_a_certificate_of_another_authority_is_told_apart() -> None:
    ours, theirs = new_authority("kubernetes"), new_authority("kubernetes")
    leaf = issue(theirs, common_name="s1", usage=Usage.PEER)
    assert signed_by(leaf.cert_pem, theirs.cert_pem)
    assert not signed_by(leaf.cert_pem, ours.cert_pem)


def vault_in(folder: Path) -> Vault:
    return Vault(folder, folder / "lock")


def test_a_second_run_finds_the_same_keys_in_kubeadm_s_own_layout(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    made = kept_pki(vault.keep)
    vault.write()
    assert kept_pki(vault_in(tmp_path).keep) == made
    files = {path.relative_to(tmp_path / "pki").as_posix() for path in (tmp_path / "pki").rglob("*") if path.is_file()}
    authorities = {f"{name}.{kind}" for name in ("ca", "front-proxy-ca", "etcd/ca") for kind in ("crt", "key")}
    assert files == authorities | {"sa.key", "sa.pub"}


def test_a_certificate_that_is_missing_beside_its_authority_s_key_is_made_for_that_key(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    made = kept_pki(vault.keep)
    vault.write()
    (tmp_path / "pki" / "ca.crt").unlink()
    again = kept_pki(vault_in(tmp_path).keep)
    assert again.ca.key_pem == made.ca.key_pem == (tmp_path / "pki" / "ca.key").read_bytes()
    assert belong_together(again.ca)


def test_a_leaf_keeps_its_key_when_its_hosts_or_its_authority_change(tmp_path: Path) -> None:
    authority, vault = new_authority("kubernetes"), vault_in(tmp_path)

    def leaf(*hosts: str) -> KeyPair:
        return kept_leaf(vault, "s1", authority, common_name="s1", usage=Usage.SERVER, hosts=hosts)

    first = leaf("s1")
    assert leaf("s1") == first
    second = leaf("s1", "10.0.0.1")
    assert second.cert_pem != first.cert_pem
    assert hosts_of(second.cert_pem) == {"s1", "10.0.0.1"}
    authority = new_authority("kubernetes")
    third = leaf("s1", "10.0.0.1")
    assert signed_by(third.cert_pem, authority.cert_pem)
    assert first.key_pem == second.key_pem == third.key_pem


def test_a_leaf_near_its_end_is_made_again(tmp_path: Path) -> None:
    authority = new_authority("kubernetes")
    old = issue(authority, common_name="s1", usage=Usage.CLIENT, valid=timedelta(days=30))
    (tmp_path / "s1.crt").write_bytes(old.cert_pem)
    (tmp_path / "s1.key").write_bytes(old.key_pem)
    new = kept_leaf(vault_in(tmp_path), "s1", authority, common_name="s1", usage=Usage.CLIENT)
    assert expires(new.cert_pem) - datetime.now(UTC) > timedelta(days=300)


@pytest.mark.parametrize("damage", [b"", b"half", b"\xff\xfe"])
def test_a_key_that_can_t_be_used_is_set_aside_and_never_overwritten(tmp_path: Path, damage: bytes) -> None:
    authority = new_authority("kubernetes")
    (tmp_path / "s1.key").write_bytes(damage)
    vault = vault_in(tmp_path)
    made = kept_leaf(vault, "s1", authority, common_name="s1", usage=Usage.CLIENT)
    assert (tmp_path / "s1.key").read_bytes() == damage
    vault.write()
    assert (tmp_path / "s1.key").read_bytes() == made.key_pem
    assert [path.read_bytes() for path in tmp_path.glob("s1.key.set-aside-*")] == [damage]


def test_a_certificate_beside_another_one_s_key_is_made_again_for_the_key_that_is_there(tmp_path: Path) -> None:
    authority = new_authority("kubernetes")
    one, other = (issue(authority, common_name="s1", usage=Usage.CLIENT) for _ in range(2))
    (tmp_path / "s1.crt").write_bytes(one.cert_pem)
    (tmp_path / "s1.key").write_bytes(other.key_pem)
    found = kept_leaf(vault_in(tmp_path), "s1", authority, common_name="s1", usage=Usage.CLIENT)
    assert found.key_pem == other.key_pem
    assert belong_together(found)


def test_a_private_key_never_shows_in_a_representation(tmp_path: Path) -> None:
    assert "PRIVATE" not in repr(kept_pki(vault_in(tmp_path).keep))


def test_an_ssh_key_has_the_fingerprint_that_ssh_keygen_prints(tmp_path: Path) -> None:
    key = kept_ssh_key(tmp_path / "id")
    assert kept_ssh_key(tmp_path / "id") == key
    printed = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "id")], capture_output=True, text=True, check=True)
    assert fingerprint(key.public) in printed.stdout
