"""A lab's registry: pushed to from the operator's machine, pulled from by machines on every segment."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bootstrap.errors import Refused
from bootstrap.lab.machines.process import identity_of, recorded
from bootstrap.lab.networks.network import network_running, start_network, stop_network
from bootstrap.lab.networks.registry import REGISTRY_RECORD, registry_running
from bootstrap.lab.spec import Lab, LabSpec
from tests.helpers.daemons import free_ports, wait_for
from tests.integration.lab.plugged import plugged
from tests.unit.lab.samples import paper_lab

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = os.urandom(3 << 20)
PULLED = "http://10.77.0.2:5000/v2"
AT_ONCE = """\
import hashlib, sys, threading, urllib.request
found, together = [], threading.Barrier(30)
def fetch():
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=60) as answer:
        first = answer.read(1)
        # All of them are under way before any of them goes on.
        together.wait(60)
        found.append(hashlib.sha256(first + answer.read()).hexdigest())
threads = [threading.Thread(target=fetch) for _ in range(30)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), *set(found))
"""


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def push(port: int, name: str, tag: str, layer: bytes) -> None:
    """Push an image of one layer, as the OCI distribution specification has it.

    Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push
    """
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        for blob in (layer, b"{}"):
            place = client.post(f"/v2/{name}/blobs/uploads/").raise_for_status().headers["Location"]
            client.put(httpx.URL(place).copy_merge_params({"digest": digest(blob)}), content=blob).raise_for_status()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}
            ],
        }
        client.put(
            f"/v2/{name}/manifests/{tag}", content=json.dumps(manifest), headers={"Content-Type": MANIFEST}
        ).raise_for_status()


def made(folder: Path, segments: int) -> Lab:
    lab = paper_lab(folder, LabSpec(servers=2, segments=segments, registry=True))
    endpoint, registry = free_ports(2)
    return replace(lab, endpoint_port=endpoint, registry_port=registry)


@pytest.fixture(params=[1, 2])
def lab(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Two servers on one segment, or on one each, and a registry."""
    found = made(tmp_path, request.param)
    try:
        start_network(found, print)
        yield found
    finally:
        stop_network(found)


def test_what_the_operator_pushed_is_pulled_by_every_machine_many_times_at_once(lab: Lab) -> None:
    assert lab.registry_port is not None
    push(lab.registry_port, "tools/one", "1.0", LAYER)
    for name in ("server-1", "server-2"):
        with plugged(lab, name) as machine:
            manifest = json.loads(machine.fetches(f"{PULLED}/tools/one/manifests/1.0", MANIFEST))
            (layer,) = manifest["layers"]
            assert machine.fetches(f"{PULLED}/tools/one/blobs/{layer['digest']}") == LAYER
            said = machine.python(AT_ONCE, f"{PULLED}/tools/one/blobs/{layer['digest']}").decode()
            assert said.split() == ["30", layer["digest"].removeprefix("sha256:")]


def test_it_comes_back_with_its_images_and_what_runs_beside_it_stays(lab: Lab) -> None:
    assert lab.registry_port is not None
    push(lab.registry_port, "one", "1.0", b"layer")
    process = recorded(lab.folder / REGISTRY_RECORD)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: identity_of(process.pid) is None, "its end")
    assert not registry_running(lab)
    assert not network_running(lab)
    said: list[str] = []
    start_network(lab, said.append)
    assert said == ["the registry runs"]
    with plugged(lab, "server-2") as machine:
        assert json.loads(machine.fetches(f"{PULLED}/one/tags/list")) == {"name": "one", "tags": ["1.0"]}


def test_machines_reach_nothing_else_of_the_operators(lab: Lab) -> None:
    with plugged(lab, "server-2") as machine:
        routes = {route["dst"] for route in machine.routes}
        assert "default" not in routes
        with pytest.raises(AssertionError, match="refused"):
            machine.fetches(f"http://10.77.0.2:{lab.registry_port}/v2/")


def test_its_images_are_readable_by_their_owner_alone(lab: Lab) -> None:
    assert (lab.folder / "registry").stat().st_mode & 0o777 == 0o700


def test_a_taken_port_is_named_with_who_needs_it(tmp_path: Path) -> None:
    lab = made(tmp_path, 1)
    assert lab.registry_port is not None
    try:
        with socket.create_server(("127.0.0.1", lab.registry_port)), pytest.raises(Refused) as raised:
            start_network(lab, print)
        assert f"port {lab.registry_port} of 127.0.0.1 is taken, and the registry needs it" in str(raised.value)
    finally:
        stop_network(lab)
