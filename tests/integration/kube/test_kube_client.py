"""Our client, our objects, our tokens and our kubeconfigs against a real API server."""

from __future__ import annotations

import dataclasses
import json
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_errors import KubeError
from bootstrap.inventory.model import Role
from bootstrap.pki.kubeconfig import client_kubeconfig, token_kubeconfig, write_kubeconfig
from bootstrap.pki.token import cluster_info, new_token, token_secret
from bootstrap.pki.x509 import KeyPair, Usage, issue, new_authority
from bootstrap.spec.cluster_objects import base_objects
from bootstrap.tokens.kubelet import give_token, take_tokens_back
from tests.helpers.daemons import wait_for
from tests.integration.kube.servers import ApiServer
from tests.integration.transport.proxy import CuttingProxy


def kubectl(server: ApiServer, kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(server.programs / "kubectl"), f"--kubeconfig={kubeconfig}", "--request-timeout=20s", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_was_applied_is_read_back_and_a_second_apply_changes_nothing(api_server: ApiServer) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "twice", "namespace": "default"},
        "data": {"a": "1"},
    }
    with api_server.client() as client:
        first = client.apply(manifest)
        second = client.apply(manifest)
        assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        found = client.get("ConfigMap", "twice", "default")
        assert found is not None
        assert found["data"] == {"a": "1"}
        assert "twice" in [item["metadata"]["name"] for item in client.list("ConfigMap", "default")]
        assert client.delete("ConfigMap", "twice", "default")
        assert not client.delete("ConfigMap", "twice", "default")
        assert client.get("ConfigMap", "twice", "default") is None


def test_what_the_api_server_has_in_memory_is_the_same_a_moment_later(api_server: ApiServer) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "known", "namespace": "default"}}
    with api_server.client() as client:
        applied = client.apply(manifest)
        wait_for(lambda: client.remembered("ConfigMap", "known", "default") == applied, "the API server's memory")
        listed = client.list_remembered("ConfigMap", "default")
        assert applied["metadata"] in [found["metadata"] for found in listed]
        assert client.remembered("ConfigMap", "unknown", "default") is None


def test_those_of_a_label_are_listed_out_of_memory_in_all_namespaces(api_server: ApiServer) -> None:
    def manifest(name: str, namespace: str, **labels: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    with api_server.client() as client:
        for each in (
            manifest("ours", "default", of="us", more="1"),
            manifest("ours", "kube-public", of="us"),
            manifest("theirs", "default", of="them"),
        ):
            client.apply(each)

        def listed() -> set[tuple[str, str]]:
            found = client.list_remembered("ConfigMap", labels={"of": "us"})
            return {(item["metadata"]["name"], item["metadata"]["namespace"]) for item in found}

        wait_for(lambda: listed() == {("ours", "default"), ("ours", "kube-public")}, "the API server's memory")


def test_what_was_changed_since_a_version_has_a_later_one(api_server: ApiServer) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "before", "namespace": "default"}}
    with api_server.client() as client:
        before = client.apply(manifest)
        version = client.version_of_all("ConfigMap")
        after = client.apply({**manifest, "data": {"a": "1"}})
        assert int(before["metadata"]["resourceVersion"]) <= version < int(after["metadata"]["resourceVersion"])


def test_the_objects_of_every_cluster_are_accepted(api_server: ApiServer) -> None:
    with api_server.client() as client:
        for manifest in base_objects():
            client.apply(manifest)
        assert client.get("ClusterRoleBinding", "kubeadm:kubelet-bootstrap") is not None


def test_a_refusal_says_what_the_server_said(api_server: ApiServer) -> None:
    with api_server.client() as client, pytest.raises(KubeError) as refused:
        client.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "NOT", "namespace": "default"}})
    assert "422" in str(refused.value)
    assert "lowercase" in str(refused.value)


def test_a_server_of_another_authority_is_not_believed(api_server: ApiServer) -> None:
    stranger = new_authority("kubernetes")
    with KubeClient("127.0.0.1", api_server.port, ca_pem=stranger.cert_pem, client=None) as client:
        assert not client.ready()
        with pytest.raises(KubeError, match="did not do") as refused:
            client.version()
    assert "certificate" in str(refused.value).lower()


def test_a_balancer_that_has_no_server_for_a_moment_is_asked_again(api_server: ApiServer) -> None:
    with CuttingProxy(api_server.port, turned_away=2) as proxy:
        client = dataclasses.replace(api_server, port=proxy.port).client()
        with client:
            assert client.version() == "v1.20.2"
        assert proxy.turned_away == 0


def test_a_server_whose_certificate_carries_another_name_is_not_believed(api_server: ApiServer) -> None:
    with api_server.client(server_name="elsewhere") as client, pytest.raises(KubeError):
        client.version()


def test_the_version_is_debian_s_release(api_server: ApiServer) -> None:
    with api_server.client() as client:
        assert client.version() == "v1.20.2"


def test_whoever_asks_with_curl_gets_an_answer_and_the_server_stays(api_server: ApiServer) -> None:
    manifest = cluster_info(f"https://127.0.0.1:{api_server.port}", api_server.pki.ca.cert_pem)
    place = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
    admin = issue(api_server.pki.ca, common_name="admin", usage=Usage.CLIENT, organizations=["system:masters"])
    with api_server.client() as client:
        client.apply(manifest)
        for indented in ("?pretty=true", ""):
            found = as_curl(api_server, f"{place}{indented}", admin)
            assert found["data"]["kubeconfig"] == manifest["data"]["kubeconfig"]
        assert client.ready()


def as_curl(server: ApiServer, path: str, shown: KeyPair) -> dict[str, Any]:
    """What an API server answers somebody with curl, for whom it indents its JSON."""
    context = ssl.create_default_context(cadata=server.pki.ca.cert_pem.decode())
    with NamedTemporaryFile(suffix=".pem") as pair:
        pair.write(shown.cert_pem + b"\n" + shown.key_pem)
        pair.flush()
        context.load_cert_chain(pair.name)
    connection = HTTPSConnection("127.0.0.1", server.port, context=context, timeout=20)
    connection.request("GET", path, headers={"User-Agent": "curl/7.88.1"})
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def test_kubectl_works_with_our_kubeconfig_and_verifies_tls(api_server: ApiServer, tmp_path: Path) -> None:
    admin = issue(api_server.pki.ca, common_name="admin", usage=Usage.CLIENT, organizations=["system:masters"])
    url = f"https://127.0.0.1:{api_server.port}"
    write_kubeconfig(tmp_path / "good", client_kubeconfig("lab", url, api_server.pki.ca.cert_pem, "admin", admin))
    assert kubectl(api_server, tmp_path / "good", "get", "--raw", "/readyz").stdout == "ok"
    stranger = new_authority("kubernetes")
    write_kubeconfig(tmp_path / "bad", client_kubeconfig("lab", url, stranger.cert_pem, "admin", admin))
    refused = kubectl(api_server, tmp_path / "bad", "get", "--raw", "/readyz")
    assert refused.returncode != 0
    assert "x509" in refused.stderr


def test_a_bootstrap_token_lets_a_node_ask_for_a_certificate_and_nothing_else(
    api_server: ApiServer, tmp_path: Path
) -> None:
    token = new_token()
    url = f"https://127.0.0.1:{api_server.port}"
    with api_server.client() as client:
        for manifest in base_objects():
            client.apply(manifest)
        client.apply(token_secret(token, expires=datetime.now(UTC) + timedelta(hours=1), description="a test"))
    file = tmp_path / "bootstrap"
    write_kubeconfig(file, token_kubeconfig("lab", url, api_server.pki.ca.cert_pem, token.reveal()))
    assert kubectl(api_server, file, "auth", "can-i", "create", "csr").stdout.strip() == "yes"
    assert kubectl(api_server, file, "auth", "can-i", "get", "secrets").stdout.strip() == "no"


def test_all_tokens_of_one_node_s_join_are_taken_back_and_no_others(api_server: ApiServer) -> None:
    with api_server.client() as client:
        ours = [give_token(client, "s1", Role.SERVER), give_token(client, "s1", Role.SERVER)]
        others = [give_token(client, "s10", Role.AGENT), new_token()]
        client.apply(token_secret(others[1], expires=datetime.now(UTC) + timedelta(hours=1), description="a person's"))
        take_tokens_back(client, "s1")
        kept = {secret["metadata"]["name"] for secret in client.list("Secret", "kube-system")}
    assert not kept & {f"bootstrap-token-{token.id}" for token in ours}
    assert kept >= {f"bootstrap-token-{token.id}" for token in others}


def test_an_expired_token_is_refused(api_server: ApiServer, tmp_path: Path) -> None:
    token = new_token()
    with api_server.client() as client:
        client.apply(token_secret(token, expires=datetime.now(UTC) - timedelta(hours=1), description="too late"))
    file = tmp_path / "bootstrap"
    url = f"https://127.0.0.1:{api_server.port}"
    write_kubeconfig(file, token_kubeconfig("lab", url, api_server.pki.ca.cert_pem, token.reveal()))
    assert "Unauthorized" in kubectl(api_server, file, "auth", "can-i", "create", "csr").stderr


def test_cluster_info_is_what_a_joining_node_reads(api_server: ApiServer) -> None:
    manifest = cluster_info(f"https://127.0.0.1:{api_server.port}", api_server.pki.ca.cert_pem)
    with api_server.client() as client:
        client.apply(manifest)
        found = client.get("ConfigMap", "cluster-info", "kube-public")
    assert found is not None
    assert json.loads(found["data"]["kubeconfig"])["clusters"][0]["cluster"]["server"].startswith("https://127.0.0.1:")
