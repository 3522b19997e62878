"""Certificates and keys of a cluster."""

from __future__ import annotations

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bootstrap.pki.sshkeys import fingerprint, kept_ssh_key
from bootstrap.pki.store import kept_leaf, kept_pki
from bootstrap.pki.x509 import Usage, expires, hosts_of, issue, new_authority, public_key_pin, signed_by


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
    assert public_key_pin(authority.cert_pem) == f"sha256:{digest}"


def test_a_certificate_of_another_authority_is_told_apart() -> None:
    ours, theirs = new_authority("kubernetes"), new_authority("kubernetes")
    leaf = issue(theirs, common_name="s1", usage=Usage.PEER)
    assert signed_by(leaf.cert_pem, theirs.cert_pem)
    assert not signed_by(leaf.cert_pem, ours.cert_pem)


def test_a_second_run_finds_the_same_keys_in_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    assert kept_pki(folder) == kept_pki(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.key"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_run_that_ended_between_key_and_certificate_leaves_nothing_half_made(tmp_path: Path) -> None:
    kept_pki(tmp_path)
    (tmp_path / "ca.crt").unlink()
    again = kept_pki(tmp_path)
    leaf = issue(again.ca, common_name="s1", usage=Usage.CLIENT)
    assert signed_by(leaf.cert_pem, (tmp_path / "ca.crt").read_bytes())


def test_a_leaf_is_kept_until_its_hosts_or_its_authority_change(tmp_path: Path) -> None:
    authority = new_authority("kubernetes")

    def leaf(*hosts: str) -> bytes:
        return kept_leaf(tmp_path / "s1", authority, common_name="s1", usage=Usage.SERVER, hosts=hosts).cert_pem

    first = leaf("s1")
    assert leaf("s1") == first
    second = leaf("s1", "10.0.0.1")
    assert second != first
    authority = new_authority("kubernetes")
    assert leaf("s1", "10.0.0.1") != second


def test_a_leaf_near_its_end_is_made_anew(tmp_path: Path) -> None:
    authority = new_authority("kubernetes")
    old = issue(authority, common_name="s1", usage=Usage.CLIENT, days=30)
    (tmp_path / "s1.crt").write_bytes(old.cert_pem)
    (tmp_path / "s1.key").write_bytes(old.key_pem)
    new = kept_leaf(tmp_path / "s1", authority, common_name="s1", usage=Usage.CLIENT)
    assert expires(new.cert_pem) - datetime.now(UTC) > timedelta(days=300)


def test_a_private_key_never_shows_in_a_representation(tmp_path: Path) -> None:
    pki = kept_pki(tmp_path)
    assert "PRIVATE" not in repr(pki)


def test_an_ssh_key_has_the_fingerprint_that_ssh_keygen_prints(tmp_path: Path) -> None:
    key = kept_ssh_key(tmp_path / "id")
    assert kept_ssh_key(tmp_path / "id") == key
    printed = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "id")], capture_output=True, text=True, check=True)
    assert fingerprint(key.public) in printed.stdout
