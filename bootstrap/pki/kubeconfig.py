"""Kubeconfigs: made, written so that only their owner reads them, merged into one that is there.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from bootstrap.errors import BadUse
from bootstrap.paths import home_folder
from bootstrap.pki.store import write_private
from bootstrap.pki.x509 import KeyPair

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
    """Write `kubeconfig` to `path`, mode 0600, in place of what is there."""
    write_private(path, to_yaml(kubeconfig))


def merge_kubeconfig(path: Path, new: Kubeconfig) -> None:
    """Put the cluster, user and context of `new` into the kubeconfig at `path` and make its context the current one.

    Entries of other clusters and keys that clusterup does not know stay as they are; what was there before is
    kept as `path`.bak. Raises BadUse when the file is not a kubeconfig.
    """
    if not path.exists():
        write_kubeconfig(path, new)
        return
    before = path.read_bytes()
    merged = _parsed(path, before)
    for section in ("clusters", "users", "contexts"):
        ours = {entry["name"] for entry in new[section]}
        kept = [entry for entry in merged.get(section) or [] if entry.get("name") not in ours]
        merged[section] = [*kept, *new[section]]
    merged["current-context"] = new["current-context"]
    if (after := to_yaml(merged)) == before:
        return
    write_private(path.with_name(path.name + ".bak"), before)
    write_private(path, after)


def own_kubeconfig() -> Path:
    """The kubeconfig that kubectl reads by itself: the first of $KUBECONFIG, or ~/.kube/config. Raises BadUse where
    there is no home folder."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    if first:
        return Path(first)
    home = home_folder()
    if home is None:
        raise BadUse(
            "your kubeconfig can't be found: this user has no home folder",
            step="kubeconfig",
            tried="$KUBECONFIG, $HOME and the user database",
            got="none of them names a place",
            hint="set KUBECONFIG to a file of yours",
        )
    return home / ".kube" / "config"


def _parsed(path: Path, content: bytes) -> Kubeconfig:
    import yaml

    try:
        found = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadUse(
            f"{path} is not YAML",
            step="kubeconfig",
            tried="read it to merge the new cluster into it",
            got=str(error).splitlines()[0],
            hint="fix it, or write to another file with --kubeconfig",
        ) from None
    if found is None:
        found = {"apiVersion": "v1", "kind": "Config"}
    if not isinstance(found, dict) or found.get("kind", "Config") != "Config":
        raise BadUse(
            f"{path} is not a kubeconfig",
            step="kubeconfig",
            tried="read it to merge the new cluster into it",
            got=f"kind: {found.get('kind')}" if isinstance(found, dict) else type(found).__name__,
            hint="write to another file with --kubeconfig",
        )
    return found


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
