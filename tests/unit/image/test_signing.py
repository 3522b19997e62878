"""clusterup bundle sign and verify, as typed, with real keys and a real agent."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.image.bundle import MANIFEST, SIGNATURE
from bootstrap.image.finding import load_bundle
from bootstrap.image.manifest import bundle_of, manifest_of
from tests.helpers.typed import typed
from tests.helpers.worlds import bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle's."""
    return bundle(tmp_path / "bundle").directory


def key(folder: Path, name: str = "key", kind: str = "ed25519") -> Path:
    made = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "release", "-f", made], check=True)
    return made


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent that a person has."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # It says where it is once it listens.
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        yield
        process.terminate()


def says(*arguments: str | Path) -> str:
    done = typed(*map(str, arguments))
    assert done.exception is None, done.exception
    return done.stdout


def refused(*arguments: str | Path) -> str:
    done = typed(*map(str, arguments))
    assert isinstance(done.exception, ClusterupError)
    return str(done.exception)


def test_a_signed_bundle_is_verified_with_the_public_half(folder: Path, tmp_path: Path) -> None:
    ours = key(tmp_path)
    signed = says("bundle", "sign", folder, "--key", ours)
    found = re.search(r"is signed with (SHA256:\S+): ", signed)
    assert found is not None
    line = ours.with_suffix(".pub").read_text().strip()
    for named in (ours.with_suffix(".pub"), line):
        assert f"is signed with {found[1]}, and whole" in says("bundle", "verify", folder, "--key", named)


@pytest.mark.usefixtures("agent")
def test_a_key_that_only_an_agent_has_signs(folder: Path, tmp_path: Path) -> None:
    ours = key(tmp_path)
    subprocess.run(["ssh-add", "-q", ours], check=True)
    ours.unlink()
    says("bundle", "sign", folder, "--key", ours.with_suffix(".pub"))
    says("bundle", "verify", folder, "--key", ours.with_suffix(".pub"))


def test_a_public_half_that_no_agent_has_the_other_half_of_signs_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    ours = key(tmp_path)
    ours.unlink()
    assert "the bundle was not signed" in refused("bundle", "sign", folder, "--key", ours.with_suffix(".pub"))
    assert not (folder / SIGNATURE).exists()


def test_a_key_of_another_kind_signs_nothing(folder: Path, tmp_path: Path) -> None:
    assert "is no Ed25519 key" in refused("bundle", "sign", folder, "--key", key(tmp_path, kind="rsa"))


def test_a_file_that_was_changed_is_named_though_the_manifest_is_signed(folder: Path, tmp_path: Path) -> None:
    ours = key(tmp_path)
    says("bundle", "sign", folder, "--key", ours)
    (folder / "payload.raw").write_bytes(b"PAYLOAD")
    said = refused("bundle", "verify", folder, "--key", ours.with_suffix(".pub"))
    assert "payload.raw is not the one its manifest names" in said


def test_a_bundle_that_is_not_whole_is_not_signed(folder: Path, tmp_path: Path) -> None:
    (folder / "payload.raw").write_bytes(b"PAYLOAD")
    assert "payload.raw" in refused("bundle", "sign", folder, "--key", key(tmp_path))
    assert not (folder / SIGNATURE).exists()


def test_a_manifest_that_was_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    ours = key(tmp_path)
    says("bundle", "sign", folder, "--key", ours)
    manifest = folder / MANIFEST
    manifest.write_text(manifest.read_text().replace('"1"', '"2"'))
    said = refused("bundle", "verify", folder, "--key", ours.with_suffix(".pub"))
    assert "not signed by a key that is trusted here" in said


def test_signed_again_another_key_takes_the_place_of_the_first(folder: Path, tmp_path: Path) -> None:
    first, second = key(tmp_path, "first"), key(tmp_path, "second")
    says("bundle", "sign", folder, "--key", first)
    says("bundle", "sign", folder, "--key", second)
    says("bundle", "verify", folder, "--key", second.with_suffix(".pub"))
    refused("bundle", "verify", folder, "--key", first.with_suffix(".pub"))


def test_a_private_key_that_was_pasted_is_not_shown(folder: Path, tmp_path: Path) -> None:
    said = refused("bundle", "verify", folder, "--key", key(tmp_path).read_text())
    assert "this is a private key" in said
    assert "b3BlbnNz" not in said


def test_a_manifest_with_other_line_ends_is_signed_as_it_is(folder: Path, tmp_path: Path) -> None:
    manifest, ours = folder / MANIFEST, key(tmp_path)
    manifest.write_bytes(manifest.read_bytes().replace(b"\n", b"\r\n"))
    says("bundle", "sign", folder, "--key", ours)
    says("bundle", "verify", folder, "--key", ours.with_suffix(".pub"))


def test_no_key_named_proves_nothing_and_is_said(folder: Path) -> None:
    assert "no key is named that may have signed" in refused("bundle", "verify", folder)


def test_what_was_signed_goes_with_what_is_known_of_a_bundle(folder: Path, tmp_path: Path) -> None:
    says("bundle", "sign", folder, "--key", key(tmp_path))
    bundle = load_bundle(folder)
    assert bundle.signed is not None
    assert bundle_of(tmp_path, manifest_of(bundle.for_nodes)).signed == bundle.signed
