"""A machine that was installed with trusted keys fetches what one of them signed, and nothing else."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.constants.paths import TRUSTED_KEYS
from bootstrap.node.joining.description import Agent, Artifact
from bootstrap.node.joining.trusted import require_trusted
from bootstrap.node.machine import Machine
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.signed_bundle import NAMESPACE, SignedManifest

PAYLOAD, IMAGE = Artifact("/payload.raw", "a" * 64, 3), Artifact("/pause.tar", "b" * 64, 4)
MANIFEST = json.dumps({"artifacts": {"payload": {"sha256": PAYLOAD.sha256}, "image/pause": {"sha256": IMAGE.sha256}}})


def agent(signed: SignedManifest | None, *images: Artifact) -> Agent:
    return Agent("lab", "c" * 32, (), PAYLOAD, images, (), (), (), signed)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def machine(tmp_path: Path, said: list[str]) -> Machine:
    return Machine(tmp_path / "machine", said.append)


@pytest.fixture
def signed(tmp_path: Path, machine: Machine) -> SignedManifest:
    """Signed with the key that the machine trusts."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "release", "-f", key], check=True)
    place = machine.place(TRUSTED_KEYS)
    place.parent.mkdir(parents=True)
    place.write_bytes(key.with_suffix(".pub").read_bytes())
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE]
    done = subprocess.run(command, input=MANIFEST.encode(), capture_output=True, check=True)
    return SignedManifest(MANIFEST, done.stdout.decode())


def test_what_was_signed_is_fetched_and_the_machine_says_by_whom(
    machine: Machine, signed: SignedManifest, said: list[str]
) -> None:
    require_trusted(agent(signed, IMAGE), machine)
    assert len(said) == 1
    assert said[0].startswith("what it is made of is signed with SHA256:")


@pytest.mark.usefixtures("signed")
def test_a_cluster_that_shows_no_signature_is_refused(machine: Machine) -> None:
    with pytest.raises(Failure, match="only signed ones are trusted here"):
        require_trusted(agent(None, IMAGE), machine)


def test_an_image_that_was_not_signed_is_refused_though_the_payload_was(
    machine: Machine, signed: SignedManifest
) -> None:
    with pytest.raises(Failure, match=r"not there: /other\.tar"):
        require_trusted(agent(signed, Artifact("/other.tar", "d" * 64, 4)), machine)


def test_an_image_that_was_signed_is_no_payload(machine: Machine, signed: SignedManifest) -> None:
    swapped = replace(agent(signed, PAYLOAD), payload=IMAGE)
    with pytest.raises(Failure, match="signed as something else"):
        require_trusted(swapped, machine)


def test_a_machine_that_trusts_no_keys_asks_for_no_signature(machine: Machine, said: list[str]) -> None:
    require_trusted(agent(None, IMAGE), machine)
    assert said == []
