"""Where an inventory trusts keys, nothing is put on a machine that none of them signed, whoever puts it there."""

from __future__ import annotations

import dataclasses
import gzip
import json
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootstrap.constants.objects import JOIN_MANIFEST, JOIN_MANIFEST_KEY
from bootstrap.errors import Refused
from bootstrap.facts.model import ClusterFacts, DiskFacts
from bootstrap.image.bundle import MANIFEST, SIGNATURE
from bootstrap.image.finding import known_bundle, load_bundle
from bootstrap.image.manifest import manifest_of, write_manifest
from bootstrap.image.signing import check_signed, sign_bundle
from bootstrap.inventory.load import parse_inventory
from bootstrap.inventory.model import Ssh
from bootstrap.joining.discovery import Discovered
from bootstrap.joining.node import Joining, JoiningMachine, installation_for, joining_of
from bootstrap.joining.usb import StickRequest, write_join_stick
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.made_server import made_server
from bootstrap.operations.planning import installation_of, prepare
from bootstrap.operations.reading import notes_of
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.join_manifest import parse_description
from bootstrap.protocol.token import Token
from bootstrap.state.cluster import ClusterState
from tests.helpers.worlds import bundle, facts, finished_world, keeping

DISK = DiskFacts("/dev/vda", 8 << 30)
FILE = "clusterup/trusted_keys"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The operator's, which signs bundles."""
    made = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "release", "-f", str(made)]
    subprocess.run(command, check=True)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bundle's."""
    return bundle(tmp_path / "bundle").directory


def lab(tmp_path: Path, key: Path, folder: Path) -> Intent:
    """A server and an agent that trust the key, and the bundle as it is now."""
    (tmp_path / "state").mkdir(mode=0o700, exist_ok=True)
    document = {
        "cluster": {"name": "lab"},
        "os": {"trusted_keys": [key.with_suffix(".pub").read_text().strip()]},
        "defaults": {"disk": "/dev/vda"},
        "nodes": [
            {"name": "s1", "role": "server", "address": "10.77.0.11"},
            {"name": "a1", "address": "10.77.0.21"},
        ],
    }
    written = json.dumps(document).encode()
    made = parse_inventory(Path("lab.yaml"), written)
    state = ClusterState(tmp_path / "state")
    return keeping(intent_of(made, state, load_bundle(folder), tmp_path / "lab.kubeconfig", written=written))


def problems(lab: Intent, world: ClusterFacts) -> list[str]:
    return [problem.problem for problem in prepare(lab, world, wipe=frozenset()).problems]


def bare_world(lab: Intent) -> ClusterFacts:
    return ClusterFacts({name: facts(machine_id=name, disks=(DISK,)) for name in lab.nodes})


def joining(of: Intent, folder: Path) -> Joining:
    """Somebody joins a machine with a token and a bundle of their own."""
    (found,) = [each for each in of.objects if each["metadata"]["name"] == JOIN_MANIFEST]
    discovered = Discovered(ServerUrl("10.77.0.11"), of.keys.pki.ca.cert_pem)
    machine = JoiningMachine("j1", IPv4Address("10.77.0.31"), Ssh(host="10.77.0.31"), "/dev/vda")
    description = parse_description(found["data"][JOIN_MANIFEST_KEY])
    return joining_of(discovered, Token("abcdef", "0123456789abcdef"), description, machine, load_bundle(folder))


@pytest.fixture(autouse=True)
def joiner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "joiner"))


def test_nothing_is_installed_out_of_a_bundle_that_is_not_signed(tmp_path: Path, key: Path, folder: Path) -> None:
    of = lab(tmp_path, key, folder)
    assert problems(of, bare_world(of)) == ["the bundle is not signed, and only signed ones are trusted here"]


def test_a_bundle_that_the_trusted_key_signed_is_installed(tmp_path: Path, key: Path, folder: Path) -> None:
    sign_bundle(folder, key)
    of = lab(tmp_path, key, folder)
    assert problems(of, bare_world(of)) == []


def test_a_payload_that_took_the_place_of_the_signed_one_is_not(tmp_path: Path, key: Path, folder: Path) -> None:
    sign_bundle(folder, key)
    bundle(folder, payload=b"another")
    of = lab(tmp_path, key, folder)
    assert problems(of, bare_world(of)) == ["the bundle is not signed by a key that is trusted here"]


def test_where_on_a_disk_a_signed_file_goes_was_signed_too(tmp_path: Path, key: Path, folder: Path) -> None:
    sign_bundle(folder, key)
    bundle = load_bundle(folder)
    image = bundle.artifact("os")
    moved = (dataclasses.replace(image.partitions[0], offset=2 << 20),)
    bundle.artifacts["os"] = dataclasses.replace(image, partitions=moved)
    with pytest.raises(Refused, match="another entry of os"):
        check_signed(bundle, [key.with_suffix(".pub").read_text()], ["os", "payload"])


def test_a_signature_that_only_the_manifest_itself_tells_of_is_none(tmp_path: Path, key: Path, folder: Path) -> None:
    sign_bundle(folder, key)
    told = json.dumps(manifest_of(load_bundle(folder)))
    (folder / SIGNATURE).unlink()
    (folder / MANIFEST).write_text(told)
    assert load_bundle(folder).signed is None
    assert known_bundle(folder).signed is not None


def test_a_release_that_an_inventory_chooses_is_as_signed_as_the_others(key: Path, folder: Path) -> None:
    bundle = load_bundle(folder)
    older = dataclasses.replace(
        bundle.artifact("payload"), name="payload/1.19.0", components={"kubernetes": "1.19.0"}, sha256="d" * 64
    )
    write_manifest(dataclasses.replace(bundle, artifacts={**bundle.artifacts, older.name: older}))
    sign_bundle(folder, key)
    chosen = load_bundle(folder).of_release("1.19")
    assert check_signed(chosen, [key.with_suffix(".pub").read_text()], ["os", "payload"])


def test_a_server_that_joins_by_itself_is_not_told_whom_to_trust(tmp_path: Path, key: Path, folder: Path) -> None:
    sign_bundle(folder, key)
    made = made_server(lab(tmp_path, key, folder), "s1")
    assert b"clusterup/trusted_keys" not in gzip.decompress(made)


def test_who_has_an_unsigned_copy_is_told_that_machines_which_join_would_be_refused(
    tmp_path: Path, key: Path, folder: Path
) -> None:
    of = lab(tmp_path, key, folder)
    (note,) = notes_of(of, prepare(of, finished_world(of), wipe=frozenset()))
    assert "is not signed" in note
    assert "machines that join by themselves are refused" in note


def test_a_cluster_that_runs_needs_no_signature_for_what_is_not_brought_again(
    tmp_path: Path, key: Path, folder: Path
) -> None:
    of = lab(tmp_path, key, folder)
    assert problems(of, finished_world(of)) == []


def test_every_node_is_installed_with_the_keys_that_it_trusts_itself(tmp_path: Path, key: Path, folder: Path) -> None:
    of = lab(tmp_path, key, folder)
    for node in of.nodes:
        (found,) = [file for file in installation_of(of).etc(node) if file.path == FILE]
        assert found.content == key.with_suffix(".pub").read_bytes()


def test_nodes_that_fetch_are_shown_what_was_signed(tmp_path: Path, key: Path, folder: Path) -> None:
    sign_bundle(folder, key)
    description = joining(lab(tmp_path, key, folder), folder).description
    assert description.signed == load_bundle(folder).signed
    assert description.trusted_keys == (key.with_suffix(".pub").read_text().strip(),)


def test_who_joins_a_machine_needs_the_signed_bundle_and_hands_the_keys_on(
    tmp_path: Path, key: Path, folder: Path
) -> None:
    sign_bundle(folder, key)
    of = lab(tmp_path, key, folder)
    joined = joining(of, folder)
    assert FILE in {file.path for file in installation_for(joined).etc("j1")}
    unsigned = bundle(tmp_path / "unsigned").directory
    with pytest.raises(Refused, match="is not signed"):
        joining(of, unsigned)


def test_no_stick_is_made_of_a_live_environment_that_was_not_signed(tmp_path: Path, key: Path, folder: Path) -> None:
    sign_bundle(folder, key)
    joined = joining(lab(tmp_path, key, folder), folder)
    live = load_bundle(folder).artifact("os")
    joined.bundle.artifacts["live"] = type(live)("live", live.file, live.size, "e" * 64, partitions=live.partitions)
    with pytest.raises(Refused, match="what would be used is not what was signed"):
        write_join_stick(joined, StickRequest("/dev/vda", wipe=False), tmp_path / "j1.stick")
    assert not (tmp_path / "j1.stick").exists()
