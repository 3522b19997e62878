"""Volumes as claims get them: a real API server, its controller of volumes, and the agent as it runs on a node.

The scheduler's part is played by the test: it writes down which node a claim's pod comes to.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.image.versions import Versions
from bootstrap.pki.x509 import Usage, issue
from bootstrap.spec.cluster_objects import base_objects
from bootstrap.spec.volumes import volume_objects
from tests.helpers.daemons import daemon, wait_for
from tests.helpers.node_agent import agent
from tests.helpers.worlds import inventory
from tests.integration.kube.servers import ApiServer, running_controllers

CONTROLLERS = "persistentvolume-binder,persistentvolume-expander,pvc-protection,pv-protection"


@pytest.fixture(scope="module")
def binder(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What binds claims to volumes, and says that a volume has lost its claim."""
    with running_controllers(api_server, tmp_path_factory.mktemp("binder"), CONTROLLERS):
        yield


@contextmanager
def running_agent(api_server: ApiServer, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The agent of the node n1, which has neither a pod network nor names of ours; volumes are in folder/volumes."""
    node = issue(api_server.pki.ca, common_name="system:node:n1", usage=Usage.CLIENT, organizations=["system:nodes"])
    certificate = folder / "node.pem"
    certificate.write_bytes(node.cert_pem + node.key_pem)
    settings = {
        "node": "n1",
        "server": f"https://127.0.0.1:{api_server.port}",
        "ca": str(api_server.pki_folder / "ca.crt"),
        "certificate": str(certificate),
        "volumes": {"folder": str(folder / "volumes")},
    }
    file = folder / "network.json"
    file.write_text(json.dumps(settings))
    with api_server.client() as client:
        for manifest in (*base_objects(), *volume_objects(inventory(), Versions(20))):
            client.apply(manifest)
    with daemon(agent("network", str(file)), folder / "agent.log") as process:
        yield process


def claim(name: str, size: str = "1Mi", node: str = "n1", storage_class: str = "local") -> dict[str, Any]:
    """A claim whose pod comes to that node."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {"volume.kubernetes.io/selected-node": node},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": size}},
        },
    }


def bound(client: KubeClient, name: str) -> str:
    """The name of a claim's volume, once it has one."""

    def volume() -> str:
        found = client.get("PersistentVolumeClaim", name, "default") or {}
        return str(found["spec"]["volumeName"]) if found.get("status", {}).get("phase") == "Bound" else ""

    wait_for(lambda: bool(volume()), f"the claim {name} to be bound", 60)
    return volume()


def test_a_claim_gets_a_directory_that_grows_and_goes_with_it(
    api_server: ApiServer, binder: None, tmp_path: Path
) -> None:
    with api_server.client() as client, running_agent(api_server, tmp_path):
        client.apply(claim("data"))
        place = tmp_path / "volumes" / bound(client, "data")
        assert place.is_dir()
        (place / "file").write_text("data")
        client.apply(claim("data", "3Mi"))

        def size() -> str:
            found = client.get("PersistentVolumeClaim", "data", "default") or {}
            return str(found["status"]["capacity"]["storage"])

        wait_for(lambda: size() == "3Mi", "the claim to have grown", 60)
        volume = client.get("PersistentVolume", place.name)
        assert volume is not None
        assert volume["spec"]["capacity"] == {"storage": "3Mi"}
        assert (place / "file").read_text() == "data"
        client.delete("PersistentVolumeClaim", "data", "default")
        wait_for(lambda: client.get("PersistentVolume", place.name) is None, "the volume to be gone", 60)
        assert list((tmp_path / "volumes").iterdir()) == []


def test_where_the_class_says_so_the_data_outlives_the_claim(
    api_server: ApiServer, binder: None, tmp_path: Path
) -> None:
    kept = next(each for each in volume_objects(inventory(), Versions(20)) if each["kind"] == "StorageClass")
    kept = {**kept, "metadata": {"name": "kept"}, "reclaimPolicy": "Retain"}
    with api_server.client() as client, running_agent(api_server, tmp_path):
        client.apply(kept)
        client.apply(claim("lasting", storage_class="kept"))
        place = tmp_path / "volumes" / bound(client, "lasting")
        client.delete("PersistentVolumeClaim", "lasting", "default")

        def phase() -> str:
            found = client.get("PersistentVolume", place.name) or {}
            return str(found.get("status", {}).get("phase"))

        wait_for(lambda: phase() == "Released", "the volume to be released", 60)
        # One that goes is gone before this one is bound: both are in the hands of the same thread.
        client.apply(claim("next"))
        bound(client, "next")
        assert place.is_dir()
        client.delete("PersistentVolume", place.name)
        client.delete("PersistentVolumeClaim", "next", "default")


def test_a_claim_of_another_node_waits_and_one_that_can_t_be_filled_is_told_why(
    api_server: ApiServer, binder: None, tmp_path: Path
) -> None:
    with api_server.client() as client, running_agent(api_server, tmp_path):
        client.apply(claim("elsewhere", node="n2"))
        client.apply(claim("huge", "4Ei"))

        def told() -> list[str]:
            return [
                str(each["message"])
                for each in client.list("Event", "default")
                if each["involvedObject"].get("name") == "huge" and each["source"].get("component") == "clusterup"
            ]

        wait_for(lambda: bool(told()), "an event", 60)
        assert told()[0].startswith("n1: 4096 PiB are wanted")
        elsewhere = client.get("PersistentVolumeClaim", "elsewhere", "default")
        assert elsewhere is not None
        assert elsewhere["status"]["phase"] == "Pending"
        for name in ("elsewhere", "huge"):
            client.delete("PersistentVolumeClaim", name, "default")
