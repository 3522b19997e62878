"""How the API servers encrypt what they keep in etcd: Secrets, with one key that all servers share.

secretbox (XSalsa20 and Poly1305) is known to every release from 1.13 on. Its nonces are long enough to be random for as
long as the key lives, where aesgcm wants a new key every 200,000 writes, and aescbc does not notice what was changed.
Source: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
"""

from __future__ import annotations

from bootstrap.errors import Refused
from bootstrap.pki.encryption import kept_encryption_key
from bootstrap.steps.layout import NodeFile
from bootstrap.steps.render import render
from bootstrap.steps.state import ClusterState

ENCRYPTION_YAML = "/etc/kubernetes/encryption.yaml"


def encryption_file(state: ClusterState) -> NodeFile:
    """What an API server reads, the same on all servers. The key is made where the state of a cluster that is still to
    be founded has none.

    Raises Refused where the state of a cluster that was founded has no key, or one that is damaged: with another one,
    no Secret that is in etcd could be read.
    """
    path = state.encryption_key
    if state.founded and not path.exists():
        raise _unusable(state, "has lost the key that the cluster's Secrets are encrypted with", f"no {path}")
    try:
        key = kept_encryption_key(path)
    except ValueError as error:
        raise _unusable(
            state, "has a damaged key for the encryption of the cluster's Secrets", f"{path}: {error}"
        ) from None
    return NodeFile(ENCRYPTION_YAML, render("kubernetes/encryption.yaml.j2", key=key), 0o600)


def _unusable(state: ClusterState, problem: str, got: str) -> Refused:
    return Refused(
        f"the state here {problem}",
        step="keys",
        tried=f"read it in {state.folder}",
        got=got,
        hint="move what is damaged away, then bring it back from a server: clusterup adopt root@SERVER",
    )
