"""What a cluster tells joining machines is all of an agent and nothing secret: read back, it makes the same files and
the same digests as the inventory does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bootstrap.constants.objects import JOIN_MANIFEST, JOIN_MANIFEST_KEY
from bootstrap.errors import ClusterupError, Refused
from bootstrap.inventory.load import parse_inventory
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.join_manifest import AgentDescription, parse_description, units_of
from bootstrap.spec.join_manifest_build import access_objects, describe_agent
from bootstrap.state.cluster import ClusterState
from tests.helpers.worlds import bundle, intent


def described(of: Intent) -> AgentDescription:
    """As it is read out of the ConfigMap that apply keeps."""
    (found,) = [each for each in of.objects if each["metadata"]["name"] == JOIN_MANIFEST]
    return parse_description(found["data"][JOIN_MANIFEST_KEY])


def of_document(folder: Path, **more: Any) -> Intent:
    """A server, an agent, and what else is in the inventory."""
    document = {
        "cluster": {"name": "lab"},
        "nodes": [
            {"name": "s1", "role": "server", "address": "10.77.0.11"},
            {"name": "a1", "address": "10.77.0.21"},
        ],
        **more,
    }
    written = json.dumps(document).encode()
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    return intent_of(
        parse_inventory(Path("lab.yaml"), written),
        ClusterState(folder / "state"),
        bundle(folder / "bundle"),
        folder / "lab.kubeconfig",
        written=written,
    )


PERSON = f"{new_ssh_key().public} person"
DEFAULTS = {
    "labels": {"rack": "r1"},
    "taints": [{"key": "new", "effect": "NoSchedule"}],
    "ssh_authorized_keys": [PERSON],
    "ntp": ["10.77.0.1"],
    "sysctls": {"vm.max_map_count": "262144"},
}


def test_read_back_it_makes_the_files_and_digests_that_the_inventory_makes(tmp_path: Path) -> None:
    of = of_document(tmp_path, defaults=DEFAULTS)
    wanted, found = of.nodes["a1"], described(of)
    files = found.files_of("a1", "10.77.0.21")
    assert files == wanted.files
    for group, units in ((found.runtime, wanted.runtime), (found.kubelet, wanted.kubelet)):
        assert [(unit.name, unit.digest) for unit in units_of(group, files)] == [
            (unit.name, unit.digest) for unit in units
        ]


def test_it_says_what_else_there_is_to_know_of_the_cluster(tmp_path: Path) -> None:
    of = of_document(tmp_path, defaults=DEFAULTS)
    found = described(of)
    assert (found.cluster, found.cluster_id, found.minor) == ("lab", of.state.cluster_id, 20)
    assert found.payload.sha256 == of.bundle.artifact("payload").sha256
    assert [image.path for image in found.images] == ["/var/lib/clusterup/images/pause.tar"]
    assert {name: str(address) for name, address in found.servers.items()} == {"s1": "10.77.0.11"}
    assert found.authorized_keys == (f"{of.state.ssh_key.public} clusterup", PERSON)
    assert found.settings["ntp"] == ["10.77.0.1"]
    assert found.taints == ({"key": "new", "value": "", "effect": "NoSchedule"},)
    assert parse_description(found.text) == found


def test_nothing_secret_is_in_it(tmp_path: Path) -> None:
    of = intent(tmp_path)
    text = described(of).text
    secrets = [
        path.read_text()
        for path in of.state.folder.rglob("*")
        if path.is_file() and (path.suffix == ".key" or path.name in ("id_ed25519", "ssh_host_ed25519_key"))
    ]
    lines = {line for secret in secrets for line in secret.splitlines() if line and not line.startswith("-----")}
    assert len(secrets) > 10
    assert not [line for line in lines if line in text or json.dumps(line)[1:-1] in text]
    assert "PRIVATE" not in text


@pytest.mark.parametrize("word", ["@NODE@", "clusterup-stranger-qqqqqqqq", "198.51.100.237"])
def test_what_would_be_filled_in_by_mistake_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(ClusterupError, match="stands for"):
        of_document(tmp_path, kubernetes={"kubelet_args": {"feature-gates": word}})


def test_what_is_too_long_for_the_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="too long to be kept"):
        of_document(tmp_path, defaults={"sysctls": {f"kernel.x{n}": "1" * 4000 for n in range(300)}})


def test_the_same_cluster_is_described_with_the_same_text(tmp_path: Path) -> None:
    of = intent(tmp_path)
    again = describe_agent(of.inventory, of.bundle, of.credentials)
    assert again.text == described(of).text
    assert dataclasses.replace(again, minor=21).text != again.text


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data.update(format=3), "format 3, known is 1"),
        (lambda data: data.pop("payload"), "KeyError: 'payload'"),
        (lambda data: data["cluster"].update(name="../../elsewhere"), "not as it should be"),
        (lambda data: data["files"][0].update(path="/etc/../root/x"), "no absolute path"),
        (lambda data: data["payload"].update(sha256="x"), "not as it should be"),
        (lambda data: data["files"].clear(), "no file /etc/"),
    ],
)
def test_what_is_not_understood_is_never_half_used(
    tmp_path: Path, damage: Callable[[dict[str, Any]], Any], said: str
) -> None:
    data = json.loads(described(intent(tmp_path)).text)
    damage(data)
    with pytest.raises(Failure) as failed:
        parse_description(json.dumps(data))
    assert said in str(failed.value)


def test_tokens_may_read_that_config_map_and_nothing_else() -> None:
    role, binding = access_objects()
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["clusterup-agent"], "verbs": ["get"]}
    ]
    assert [subject["name"] for subject in binding["subjects"]] == [
        "system:bootstrappers:kubeadm:default-node-token",
        "system:bootstrappers:clusterup:counted",
    ]


def test_what_is_nested_without_end_is_not_understood_either() -> None:
    with pytest.raises(Failure, match="can't be understood"):
        parse_description("[" * 200_000)
