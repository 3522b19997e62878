"""A bundle that somebody has signed: its manifest, and over that a signature as `ssh-keygen -Y sign` makes it.

The manifest names everything in a bundle with its SHA-256, so that one signature is good for all of it. The keys are
Ed25519 keys as people have them for SSH, in an agent or on a security key too; the signature's namespace keeps it apart
from whatever else such a key signs.
Source: ssh-keygen(1), -Y verify and "ALLOWED SIGNERS";
https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.outside import parsed_json
from bootstrap.protocol.failure import Failure, Kind

NAMESPACE = "clusterup-bundle"
SIGNER = "clusterup"
SECONDS = 60
LARGEST = 1 << 20
HINT = (
    "if the bundle is the one that was meant, sign it where the key is: clusterup bundle sign --key KEY. If another "
    "key may sign, its public half belongs into os.trusted_keys of the inventory"
)
_GOOD = re.compile(r"key (SHA256:[A-Za-z0-9+/]+)")


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """The text of a bundle's manifest, and the signature over it (armored text)."""

    manifest: str
    signature: str

    @property
    def digests(self) -> Mapping[str, str]:
        """The names of its artifacts, by SHA-256. Raises ValueError where it is no manifest of a bundle."""
        try:
            artifacts = parsed_json(self.manifest)["artifacts"]
            return {str(part["sha256"]): str(name) for name, part in artifacts.items()}
        except (KeyError, TypeError, AttributeError):
            raise ValueError("no manifest of a bundle") from None


def signed_manifest(data: Mapping[str, object]) -> SignedManifest:
    """What a description has of one. Raises KeyError, TypeError."""
    return SignedManifest(str(data["manifest"]), str(data["signature"]))


def signer_of(signed: SignedManifest, trusted: Sequence[str]) -> str:
    """The fingerprint ("SHA256:...") of the key among `trusted` (lines of .pub files) that signed. Raises Failure where
    none of them did."""
    if max(len(signed.manifest), len(signed.signature)) > LARGEST:
        raise _refused("it is longer than a manifest and its signature are")
    with tempfile.TemporaryDirectory(prefix="clusterup-") as folder:
        allowed, signature = Path(folder, "allowed"), Path(folder, "signature")
        keys = (" ".join(key.split()[:2]) for key in trusted)
        allowed.write_text("".join(f'{SIGNER} namespaces="{NAMESPACE}" {key}\n' for key in keys))
        signature.write_text(signed.signature)
        command = [
            "ssh-keygen",
            "-Y",
            "verify",
            "-f",
            str(allowed),
            "-I",
            SIGNER,
            "-n",
            NAMESPACE,
            "-s",
            str(signature),
        ]
        try:
            done = subprocess.run(
                command, input=signed.manifest.encode(), capture_output=True, timeout=SECONDS, check=False
            )
        except FileNotFoundError:
            raise Failure(
                "the signature of the bundle can't be checked",
                tried="run ssh-keygen",
                got="there is no such program here",
                hint="install OpenSSH's client (openssh-client)",
            ) from None
        except subprocess.TimeoutExpired:
            raise Failure(
                "the signature of the bundle could not be checked",
                tried=f"ssh-keygen -Y verify -n {NAMESPACE}",
                got=f"it did not answer within {SECONDS} s",
                hint="the same command again",
                passing=True,
            ) from None
    said = done.stdout.decode(errors="replace")
    found = _GOOD.search(said)
    if done.returncode or found is None:
        raise _refused((done.stderr.decode(errors="replace").strip() or said.strip() or "no answer")[:300])
    return found[1]


def require_signed(signed: SignedManifest | None, trusted: Sequence[str], wanted: Mapping[str, str]) -> str:
    """The fingerprint of the trusted key that signed for everything in `wanted`, names by SHA-256. Raises Failure where
    nobody signed, none of the `trusted` did, or something is wanted that is not in what was signed."""
    if signed is None:
        raise Failure(
            "the bundle is not signed, and only signed ones are trusted here",
            kind=Kind.REFUSED,
            tried=f"look for a signature by one of {len(trusted)} trusted key{'' if len(trusted) == 1 else 's'}",
            got="none",
            hint=HINT,
        )
    signer = signer_of(signed, trusted)
    try:
        known = signed.digests
    except ValueError as error:
        raise _refused(f"what was signed is {error}") from None
    others = sorted(name for digest, name in wanted.items() if digest not in known)
    if others:
        raise Failure(
            "what would be used is not what was signed",
            kind=Kind.REFUSED,
            tried=f"look for it in the manifest that {signer} signed",
            got=f"not there: {', '.join(others)}",
            hint=HINT,
        )
    return signer


def _refused(got: str) -> Failure:
    return Failure(
        "the bundle is not signed by a key that is trusted here",
        kind=Kind.REFUSED,
        tried=f"ssh-keygen -Y verify -n {NAMESPACE}",
        got=got,
        hint=HINT,
    )
