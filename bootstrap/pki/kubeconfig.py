"""Kubeconfigs: made, and written so that only their owner reads them.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bootstrap.errors import BadUse
from bootstrap.pki.x509 import KeyPair
from bootstrap.written import write_private

Kubeconfig = dict[str, Any]


def client_kubeconfig(cluster: str, server_url: str, ca_pem: bytes, user: str, client: KeyPair) -> Kubeconfig:
    """A kubeconfig with everything inside: authority, client certificate and key. Its context is `cluster`'s name."""
    name = f"{user}@{cluster}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server_url, "certificate-authority-data": _text(ca_pem)}}],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _text(client.cert_pem),
                    "client-key-data": _text(client.key_pem),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": name}}],
        "current-context": cluster,
    }


def token_kubeconfig(cluster: str, server_url: str, ca_pem: bytes, token: str) -> Kubeconfig:
    """A kubeconfig whose user has nothing but a bootstrap token: what a kubelet joins with."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server_url, "certificate-authority-data": _text(ca_pem)}}],
        "users": [{"name": "bootstrap", "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": "bootstrap"}}],
        "current-context": cluster,
    }


def to_yaml(kubeconfig: Kubeconfig) -> bytes:
    """The same bytes for the same kubeconfig."""
    import yaml

    return yaml.safe_dump(kubeconfig, sort_keys=False).encode()


def write_kubeconfig(path: Path, kubeconfig: Kubeconfig) -> None:
    """Write `kubeconfig` to `path`, mode 0600, in place of what is there; to what a link leads to, into a device or a
    pipe. Raises BadUse where that can't be."""
    with unwritable(path):
        write_private(path, to_yaml(kubeconfig))


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Says in words that a kubeconfig can't be written. Raises BadUse."""
    try:
        yield
    except OSError as error:
        named = error.filename or path
        raise BadUse(
            f"{path} can't be written",
            step="kubeconfig",
            tried=f"write {path}" if str(named) == str(path) else f"write {path}, for which {named} is needed",
            got=error.strerror or str(error),
            hint="make the file and its folder yours, or name a place in a folder of yours",
        ) from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
