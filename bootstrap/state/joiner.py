"""What is kept of a cluster on a machine that only joins nodes to it: no key of the cluster's is there.

It lies where an operator's state does, so that the nodes' host keys and the journal are where they are looked for; the
SSH key is one of its own, in a folder of its own: `clusterup adopt` finds nothing in its way.
"""

from __future__ import annotations

from pathlib import Path

from bootstrap.errors import Refused
from bootstrap.state.cluster import CLUSTER_ID, SSH_KEY, ClusterState, cluster_state, state_folder

KEY_FILE = "joiner/id_ed25519"


class JoinerState(ClusterState):
    """A state without the cluster's own keys."""

    @property
    def ssh_key_name(self) -> str:
        return KEY_FILE


def state_for_joining(cluster: str, cluster_id: str) -> ClusterState:
    """The state of that cluster on this machine: the operator's where there is one, or one that only joins.

    Raises Refused where there is a state of another cluster of that name.
    """
    folder = cluster_state(cluster).folder
    state = ClusterState(folder) if (folder / SSH_KEY).exists() else JoinerState(folder)
    known = state.vault.keep(CLUSTER_ID, cluster_id.encode).decode("utf-8", "replace").strip()
    if known != cluster_id:
        raise Refused(
            f"there is a state of another cluster {cluster} on this machine",
            step="join",
            tried=f"compare the cluster's id with {folder / CLUSTER_ID}",
            got=f"here {known[:64]!r}, there {cluster_id}",
            hint=f"if that cluster is gone for good, move its state away: mv {folder} {folder}.old; if not, join from "
            "another machine, or with another XDG_STATE_HOME",
        )
    return state


def only_joins(folder: Path) -> bool:
    """Whether the state in `folder` is of a machine that only joins nodes: whatever else is in it, a server has it
    better."""
    return (folder / KEY_FILE).exists() and not (folder / "pki" / "ca.crt").exists()


def require_operator(cluster: str) -> None:
    """Raise Refused where this machine only joins nodes to that cluster: as an operator it would make authorities of
    its own for it."""
    folder = state_folder(cluster)
    if only_joins(folder):
        raise Refused(
            f"nodes were joined to the cluster {cluster} from this machine, and it has none of its keys",
            step="state",
            tried=f"look for them in {folder}",
            got="a key that joins nodes, no authority",
            hint="run `clusterup adopt` with a server of the cluster first",
        )
