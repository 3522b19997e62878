"""What a trusted key signed is believed, and nothing else: signatures as ssh-keygen makes and checks them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bootstrap.protocol import signed_bundle
from bootstrap.protocol.failure import Failure, Kind
from bootstrap.protocol.signed_bundle import NAMESPACE, SignedManifest, require_signed, signer_of

PAYLOAD, IMAGE = "a" * 64, "b" * 64
MANIFEST = json.dumps({"artifacts": {"payload": {"sha256": PAYLOAD}, "image/pause": {"sha256": IMAGE}}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name} key", "-f", made / name], check=True
        )
    return made


def public(folder: Path, name: str) -> str:
    return (folder / f"{name}.pub").read_text().strip()


def signed(folder: Path, name: str, manifest: str = MANIFEST, namespace: str = NAMESPACE) -> SignedManifest:
    command = ["ssh-keygen", "-Y", "sign", "-f", str(folder / name), "-n", namespace]
    done = subprocess.run(command, input=manifest.encode(), capture_output=True, check=True)
    return SignedManifest(manifest, done.stdout.decode())


def fingerprint(folder: Path, name: str) -> str:
    command = ["ssh-keygen", "-l", "-f", str(folder / name)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]


def refused(manifest: SignedManifest | None, trusted: list[str], wanted: dict[str, str]) -> Failure:
    with pytest.raises(Failure) as failure:
        require_signed(manifest, trusted, wanted)
    assert failure.value.hint
    return failure.value


def test_what_one_of_the_trusted_keys_signed_is_believed_and_the_key_is_named(folder: Path) -> None:
    trusted = [public(folder, "theirs"), public(folder, "ours")]
    found = require_signed(signed(folder, "ours"), trusted, {PAYLOAD: "payload", IMAGE: "image/pause"})
    assert found == fingerprint(folder, "ours")


def test_what_another_key_signed_is_refused(folder: Path) -> None:
    failure = refused(signed(folder, "theirs"), [public(folder, "ours")], {})
    assert failure.kind is Kind.REFUSED
    assert "not signed by a key that is trusted here" in failure.problem


def test_a_signature_that_was_made_for_something_else_is_refused(folder: Path) -> None:
    refused(signed(folder, "ours", namespace="git"), [public(folder, "ours")], {})


def test_a_manifest_that_was_changed_afterwards_is_refused(folder: Path) -> None:
    changed = SignedManifest(MANIFEST.replace("aa", "ac", 1), signed(folder, "ours").signature)
    refused(changed, [public(folder, "ours")], {})


@pytest.mark.parametrize("signature", ["", "garbage", "-----BEGIN SSH SIGNATURE-----\n", "x" * (2 << 20)], ids=len)
def test_what_is_no_signature_is_refused(folder: Path, signature: str) -> None:
    refused(SignedManifest(MANIFEST, signature), [public(folder, "ours")], {})


def test_without_a_signature_nothing_is_believed(folder: Path) -> None:
    failure = refused(None, [public(folder, "ours")], {})
    assert "is not signed" in failure.problem
    assert failure.tried == "look for a signature by one of 1 trusted key"


def test_what_is_not_in_the_signed_manifest_is_refused_by_its_name(folder: Path) -> None:
    failure = refused(signed(folder, "ours"), [public(folder, "ours")], {PAYLOAD: "payload", "c" * 64: "image/other"})
    assert failure.got == "not there: image/other"


@pytest.mark.parametrize("manifest", ["no JSON", "[]", '{"artifacts": []}', '{"artifacts": {"a": {}}}'])
def test_something_else_that_a_trusted_key_signed_is_no_manifest(folder: Path, manifest: str) -> None:
    failure = refused(signed(folder, "ours", manifest), [public(folder, "ours")], {PAYLOAD: "payload"})
    assert failure.kind is Kind.REFUSED


def test_no_key_at_all_signs_nothing(folder: Path) -> None:
    with pytest.raises(Failure):
        signer_of(signed(folder, "ours"), [])


def test_without_ssh_keygen_it_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = signed(folder, "ours")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match="openssh-client"):
        signer_of(manifest, [public(folder, "ours")])


def test_a_check_that_does_not_end_is_given_up(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = signed(folder, "ours")
    (tmp_path / "ssh-keygen").write_text("#!/bin/sh\nexec /bin/sleep 1000\n")
    (tmp_path / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(signed_bundle, "SECONDS", 0.2)
    with pytest.raises(Failure, match="did not answer"):
        signer_of(manifest, [public(folder, "ours")])
