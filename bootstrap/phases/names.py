"""What speaks against answering for the cluster's names on its nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bootstrap.errors import ClusterupError, Refused
from bootstrap.image.bundle import Bundle
from bootstrap.inventory.model import Inventory
from bootstrap.phases.others import DNS_KEY, somebody_elses
from bootstrap.spec.dns import answers
from bootstrap.state.cluster import ClusterState

STEP = "preflight"


def name_problems(
    state: ClusterState, objects: Mapping[str, Mapping[str, Any]], inventory: Inventory, bundle: Bundle
) -> Iterator[ClusterupError]:
    """A new cluster whose bundle has nothing to answer with, and one whose names somebody else answers for: they would
    be taken from them without a word. `objects` are those that the API server has, by their keys."""
    if inventory.dns.by != "nodes":
        return
    if not answers(inventory, bundle.versions):
        # A cluster that was founded keeps what it has, and whoever answers there goes on.
        if not state.founded:
            yield Refused(
                "the nodes are to answer for the cluster's names, and the bundle has nothing to answer with",
                step=STEP,
                tried=f"look for unbound in the payload of the bundle in {bundle.directory}",
                got="there is none: an earlier clusterup made it",
                hint="make a new one: clusterup image build; or leave names to a manifest of yours: write `dns: none` "
                "into the inventory",
            )
        return
    if (refusal := somebody_elses(DNS_KEY, objects.get(DNS_KEY))) is not None:
        yield refusal
