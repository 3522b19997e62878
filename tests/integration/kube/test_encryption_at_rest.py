"""What a real API server with our configuration leaves in a real etcd."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.integration.kube.servers import ApiServer

WORD = "open sesame"
ENCRYPTED = b"k8s:enc:secretbox:v1:key1:"


def secret(name: str, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "data": {"word": base64.b64encode(WORD.encode()).decode()},
    }


def stored(server: ApiServer, plural: str, name: str) -> bytes:
    """The object as etcd has it."""
    with server.etcd() as etcd:
        value = etcd.get(f"/registry/{plural}/default/{name}")
    assert value is not None
    return value


def word_in(server: ApiServer, name: str) -> str:
    with server.client() as client:
        found = client.get("Secret", name, "default")
    assert found is not None
    return base64.b64decode(found["data"]["word"]).decode()


def test_a_secret_can_t_be_read_in_etcd_and_a_config_map_can(api_server: ApiServer) -> None:
    with api_server.client() as client:
        client.apply(secret("hidden"))
        client.apply({**secret("shown"), "kind": "ConfigMap", "data": {"word": WORD}})
    assert stored(api_server, "secrets", "hidden").startswith(ENCRYPTED)
    assert WORD.encode() not in stored(api_server, "secrets", "hidden")
    assert WORD.encode() in stored(api_server, "configmaps", "shown")
    assert word_in(api_server, "hidden") == WORD


def test_what_was_written_before_is_read_and_is_encrypted_when_it_is_written_again(api_server: ApiServer) -> None:
    with api_server.etcd() as etcd:
        etcd.put("/registry/secrets/default/before", json.dumps(secret("before")))
    assert word_in(api_server, "before") == WORD
    with api_server.client() as client:
        client.apply(secret("before", written="again"))
    assert stored(api_server, "secrets", "before").startswith(ENCRYPTED)
    assert word_in(api_server, "before") == WORD
