"""Signatures of bundles, as an operator makes and checks them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bootstrap.errors import ClusterupError, Refused
from bootstrap.failures import in_own_words
from bootstrap.host.programs import require_programs
from bootstrap.image.bundle import MANIFEST, SIGNATURE, Artifact, Bundle
from bootstrap.image.finding import load_bundle
from bootstrap.image.manifest import bundle_of
from bootstrap.inventory.public_keys import trusted_key
from bootstrap.inventory.text import looks_private
from bootstrap.protocol.signed_bundle import NAMESPACE, SignedManifest, require_signed, signer_of
from bootstrap.written import write

STEP = "bundle"
_RELEASE = re.compile(r"/\d+\.\d+\.\d+\S*$", re.ASCII)


def sign_bundle(directory: Path, key: Path) -> str:
    """Sign the bundle in `directory` with an Ed25519 key: a private one, or a public one whose other half an agent
    has. ssh-keygen asks for its passphrase. The fingerprint of the key; a signature that is there is replaced. Raises
    ClusterupError."""
    load_bundle(directory)
    signed, signer = sign_manifest((directory / MANIFEST).read_bytes().decode(), key)
    _write(directory / SIGNATURE, signed.signature)
    return signer


def sign_manifest(manifest: str, key: Path) -> tuple[SignedManifest, str]:
    """The manifest signed with that key, and the fingerprint of the key. Raises as `sign_bundle`."""
    require_programs("ssh-keygen", step=STEP)
    public = _public_half(key)
    done = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE],
        input=manifest.encode(),
        # What it says stays on the terminal: a security key waits for a touch.
        stdout=subprocess.PIPE,
        check=False,
    )
    signed = SignedManifest(manifest, done.stdout.decode(errors="replace"))
    if done.returncode:
        raise ClusterupError(
            "the bundle was not signed",
            step=STEP,
            tried=f"ssh-keygen -Y sign -f {key}",
            got=f"exit code {done.returncode}; what it said stands above",
            hint="name a private key, or a .pub file whose private half your agent has",
        )
    with in_own_words(STEP):
        # Also that it is the key that was named, and one that may sign.
        return signed, signer_of(signed, [public])


def check_signed(bundle: Bundle, trusted: Sequence[str], names: Sequence[str]) -> str | None:
    """The fingerprint of the trusted key that signed the named artifacts of the bundle; None where no key is trusted,
    which is to say that none is asked for. Raises Refused."""
    if not trusted:
        return None
    parts = [bundle.artifact(name) for name in names]
    require_programs("ssh-keygen", step=STEP)
    with in_own_words(STEP):
        signer = require_signed(bundle.signed, trusted, {part.sha256: part.name for part in parts})
    if bundle.signed is not None:
        _require_same(bundle, bundle_of(bundle.directory, json.loads(bundle.signed.manifest)), parts, signer)
    return signer


def _require_same(bundle: Bundle, signed: Bundle, parts: Sequence[Artifact], signer: str) -> None:
    """Raise Refused where something of the parts is not as it was signed: not their files alone, also where on a disk
    they go, and what they are."""

    def was_signed(part: Artifact) -> bool:
        # A release that was chosen has the name of the bundle's own.
        alike = (each for each in signed.artifacts.values() if kind_of(each.name) == kind_of(part.name))
        return any(_placed_as(part, replace(each, name=part.name)) == part for each in alike)

    others = [part.name for part in parts if not was_signed(part)]
    if others or (bundle.version, bundle.architecture) != (signed.version, signed.architecture):
        raise Refused(
            "the bundle's manifest is not the one that was signed",
            step=STEP,
            tried=f"compare it with what {signer} signed",
            got=f"another entry of {', '.join(others)}" if others else "another version or architecture",
            hint="get the bundle again from where it was signed, or sign it: clusterup bundle sign --key KEY",
        )


def _placed_as(part: Artifact, signed: Artifact) -> Artifact:
    """Where in a bundle's one file it stands is nothing that is signed."""
    return replace(signed, file=part.file, begins=part.begins) if part.inside else signed


def kind_of(name: str) -> str:
    """What an artifact is, of several releases: "payload" for payload/1.35.0, "arm64/image/pause" for itself."""
    return _RELEASE.sub("", name)


def public_keys_in(place: str) -> list[str]:
    """The Ed25519 keys that `place` is or names: a key's own line, or a file with one a line. Raises Refused."""
    if looks_private(place):
        raise Refused(
            "this is a private key, and it has to stay where it is",
            step=STEP,
            tried="read --key",
            hint="name the file of its public half, which ends in .pub",
        )
    if place.startswith(("ssh-", "sk-ssh-")) and not Path(place).exists():
        lines = [place]
    else:
        lines = [line for line in _read(Path(place)).splitlines() if line.strip() and not line.startswith("#")]
        if not lines:
            raise Refused(f"{place} holds no key", step=STEP, hint="name the .pub file of an Ed25519 key")
    return [_checked(line, place) for line in lines]


def _public_half(key: Path) -> str:
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    if public.exists() or public == key:
        return _checked(_read(public).strip(), str(public))
    # It asks for the passphrase where the file holds no public half in clear.
    done = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(
            f"{key} is no private key that can be used",
            step=STEP,
            tried=f"ssh-keygen -y -f {key}",
            got=done.stderr.strip()[:300],
            hint="name an Ed25519 key: `ssh-keygen -t ed25519 -f KEY` makes one",
        )
    return _checked(done.stdout.strip(), str(key))


def _checked(text: str, place: str) -> str:
    try:
        return trusted_key(text.strip())
    except ValueError as error:
        raise Refused(
            f"{place} is no Ed25519 key",
            step=STEP,
            got=str(error),
            hint="`ssh-keygen -t ed25519 -f KEY` makes one",
        ) from None


def _read(path: Path) -> str:
    try:
        return path.expanduser().read_text(errors="replace")
    except OSError as error:
        raise Refused(
            f"{path} can't be read",
            step=STEP,
            got=error.strerror or str(error),
            hint="name the file of an Ed25519 key",
        ) from None


def _write(path: Path, text: str) -> None:
    try:
        # It says nothing that others may not know.
        write(path, text.encode(), 0o644)
    except OSError as error:
        raise ClusterupError(
            "the signature can't be written",
            step=STEP,
            tried=f"write {path}",
            got=error.strerror or str(error),
            hint="make the bundle's folder writable, or copy the bundle",
        ) from None
