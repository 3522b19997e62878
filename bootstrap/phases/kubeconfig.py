"""The kubeconfig with which the operator's kubectl reaches the cluster."""

from __future__ import annotations

from pathlib import Path

from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.model import Inventory
from bootstrap.pki.kubeconfig import Kubeconfig, client_kubeconfig, to_yaml, write_kubeconfig
from bootstrap.spec.topology import endpoint_of
from bootstrap.state.credentials import OperatorKeys

USER = "kubernetes-admin"


def kubeconfig_beside(inventory: Path, cluster: str) -> Path:
    """Where the kubeconfig of a cluster is written when no one says where: beside the inventory's file."""
    return inventory.parent / f"{cluster}.kubeconfig"


def admin_kubeconfig(inventory: Inventory, keys: OperatorKeys) -> Kubeconfig:
    """The administrator's kubeconfig: the authority, a client certificate and its key, all inside."""
    host, port = endpoint_of(inventory)
    return client_kubeconfig(inventory.cluster.name, f"https://{host}:{port}", keys.pki.ca.cert_pem, USER, keys.admin)


def kubeconfig_actions(
    inventory: Inventory, path: Path, keys: OperatorKeys, servers: list[str]
) -> list[Action[ClusterFacts]]:
    """The action that writes it to `path`, mode 0600, as soon as one API server is there."""
    kubeconfig = admin_kubeconfig(inventory, keys)

    def check(_: ClusterFacts) -> str | None:
        if not path.exists():
            return f"{path} is not there"
        if not path.is_file():
            return f"{path} is no file, and gets it each time"
        if path.read_bytes() != to_yaml(kubeconfig):
            return f"{path} is another one"
        return "others can read it" if path.stat().st_mode & 0o077 else None

    def apply(_: Context) -> None:
        write_kubeconfig(path, kubeconfig)

    return [
        Action(
            id="cluster/kubeconfig",
            node=None,
            step="kubeconfig",
            title=f"write {path}",
            check=check,
            apply=apply,
            needs=tuple(f"{name}/control-plane" for name in servers[:1]),
        )
    ]
