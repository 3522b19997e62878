"""The kubeconfig with which the operator's kubectl reaches the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from bootstrap.engine.action import Action, Context
from bootstrap.errors import BadUse
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.model import Inventory
from bootstrap.pki.kubeconfig import Kubeconfig, client_kubeconfig, to_yaml, write_kubeconfig
from bootstrap.pki.x509 import Usage, issue
from bootstrap.spec.topology import endpoint_of
from bootstrap.state.credentials import OperatorKeys
from bootstrap.times import in_words

USER = "kubernetes-admin"
LONGEST = timedelta(days=365)
RESERVED = ("system:", "clusterup:")
# Of a name in a certificate (RFC 5280, ub-common-name and ub-organization-name).
LONGEST_NAME = 64


def kubeconfig_beside(inventory: Path, cluster: str) -> Path:
    """Where the kubeconfig of a cluster is written when no one says where: beside the inventory's file."""
    return inventory.parent / f"{cluster}.kubeconfig"


def admin_kubeconfig(inventory: Inventory, keys: OperatorKeys) -> Kubeconfig:
    """The administrator's kubeconfig: the authority, a client certificate and its key, all inside."""
    host, port = endpoint_of(inventory)
    return client_kubeconfig(inventory.cluster.name, f"https://{host}:{port}", keys.pki.ca.cert_pem, USER, keys.admin)


def user_kubeconfig(
    inventory: Inventory, keys: OperatorKeys, name: str, groups: Sequence[str], valid: timedelta
) -> Kubeconfig:
    """A kubeconfig of somebody else, with a certificate and a key that are made now and kept nowhere. RBAC says what
    the user and the groups may do: nothing, before a binding names them.
    Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates

    Raises BadUse for names that are Kubernetes' own, and for a time that is none.
    """
    own = [said for said in (name, *groups) if said.startswith(RESERVED)]
    if own:
        raise BadUse(
            f"{own[0]} is a name that Kubernetes or clusterup has for itself",
            step="kubeconfig",
            hint="name the person and groups of yours; the administrator's kubeconfig is that without --user",
        )
    if not all(said.strip() and said.isprintable() and len(said) <= LONGEST_NAME for said in (name, *groups)):
        raise BadUse(
            f"a user and a group need a name of at most {LONGEST_NAME} characters",
            step="kubeconfig",
            hint="as in: --user anna --group developers",
        )
    if not timedelta(minutes=1) <= valid <= LONGEST:
        raise BadUse(
            f"a certificate can't be good for {in_words(valid)}",
            step="kubeconfig",
            got="nobody can take it back before it ends",
            hint=f"--expires takes a minute to {in_words(LONGEST)}",
        )
    host, port = endpoint_of(inventory)
    client = issue(keys.pki.ca, common_name=name, usage=Usage.CLIENT, organizations=groups, valid=valid)
    return client_kubeconfig(inventory.cluster.name, f"https://{host}:{port}", keys.pki.ca.cert_pem, name, client)


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
