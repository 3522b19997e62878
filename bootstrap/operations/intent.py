"""What an inventory comes to: every node as it should be, and what is kept of the cluster here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.image.bundle import Bundle
from bootstrap.inventory.model import Inventory
from bootstrap.locks import steady
from bootstrap.machine.objects import Manifest
from bootstrap.manifests.fetched import fetched
from bootstrap.manifests.kept import Kept, config_map
from bootstrap.manifests.sources import Entry, read_entries, require_others
from bootstrap.phases.credentials import cluster_credentials, servers_credentials
from bootstrap.phases.leave.checks import Leaving, with_entries
from bootstrap.spec.cluster_objects import cluster_objects, dns_objects, kept
from bootstrap.spec.credentials import ClusterCredentials
from bootstrap.spec.join_manifest_build import agent_objects
from bootstrap.spec.node import Desired, desired_nodes
from bootstrap.spec.topology import joined_at
from bootstrap.spec.volumes import volume_objects
from bootstrap.state.cluster import ClusterState
from bootstrap.state.credentials import OperatorKeys, operator_keys
from bootstrap.state.handover import handover_file, handover_of


@dataclass(frozen=True)
class Intent:
    """What an inventory comes to: every node as it should be, the cluster's own objects, and where the kubeconfig
    goes. `written` is the inventory's file as it was read, `places` says where in it each node stands, and the cluster
    under the empty name. `leaving` are nodes that it does not have, and that are to leave the cluster. `manifests` is
    what it brings into the cluster of objects, None where that is left alone."""

    inventory: Inventory
    state: ClusterState
    bundle: Bundle
    keys: OperatorKeys
    nodes: dict[str, Desired]
    objects: tuple[Manifest, ...]
    kubeconfig: Path
    written: bytes = field(repr=False)
    places: Mapping[str, str] = field(default_factory=dict)
    leaving: tuple[Leaving, ...] = ()
    manifests: tuple[Entry, ...] | None = None

    @property
    def everybody(self) -> Inventory:
        """The inventory, and the entries that those who leave had in it."""
        return with_entries(self.inventory, self.leaving)

    @property
    def credentials(self) -> ClusterCredentials:
        """What every node of the cluster is given."""
        return cluster_credentials(self.state, self.keys.pki)

    @property
    def servers(self) -> list[str]:
        """The servers that have a network."""
        return [node.name for node in self.inventory.networked_servers]


def intent_of(
    inventory: Inventory,
    state: ClusterState,
    bundle: Bundle,
    kubeconfig: Path,
    *,
    written: bytes,
    places: Mapping[str, str] | None = None,
) -> Intent:
    """What the inventory comes to; `written` and `places` as in `Intent`. Keys and certificates that are not there yet
    are made in memory; the state stays as it is (see `ClusterState.keep_made`)."""
    with steady(state.keys_lock):
        keys = operator_keys(state)
        own = servers_credentials(inventory, bundle.versions, keys.pki, state)
        cluster = cluster_credentials(state, keys.pki)
        # It holds every certificate that was made for them.
        handover = handover_file(handover_of(inventory, written, state, bundle))
    nodes = desired_nodes(inventory, bundle, keys.pki, own, handover)
    described = agent_objects(inventory, bundle, cluster)
    host, port = joined_at(inventory)
    return Intent(
        inventory=inventory,
        state=state,
        bundle=bundle,
        keys=keys,
        nodes=nodes,
        objects=tuple(
            kept(manifest)
            for manifest in (
                *cluster_objects(f"https://{host}:{port}", keys.pki.ca.cert_pem, inventory, bundle.kubernetes_version),
                *dns_objects(inventory, bundle.versions),
                *volume_objects(inventory, bundle.versions),
                *described,
            )
        ),
        kubeconfig=kubeconfig,
        written=written,
        places=places or {},
    )


def leaves(intent: Intent, *leaving: Leaving) -> Intent:
    """The same, and that nodes leave which it does not have."""
    return dataclasses.replace(intent, leaving=leaving)


def with_manifests(intent: Intent, inventory: Path) -> Intent:
    """The same, and what the manifests are that the inventory's file names: read, or fetched. Raises ClusterupError for
    those that can't be had or applied."""
    entries = read_entries(intent.inventory.manifests, inventory, fetched)
    require_others(entries, (*intent.objects, config_map(Kept())))
    return dataclasses.replace(intent, manifests=entries)
