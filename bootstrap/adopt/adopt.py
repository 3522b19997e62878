"""Taking a cluster over from one of its servers: its keys, its identities and its inventory come to this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bootstrap.adopt.fetch import HandedOver, fetch
from bootstrap.adopt.state import (
    OtherHere,
    Taken,
    bundle_advice,
    check_inventory_place,
    take_over,
    write_inventory,
    write_own_kubeconfig,
)
from bootstrap.connect.ssh import Ask
from bootstrap.transport.target import SshTarget


@dataclass(frozen=True)
class Adopted:
    """What was found on the server, what became of the state here, and where the inventory and the kubeconfig are;
    `advice` is what to do about a bundle that is not here."""

    found: HandedOver
    taken: Taken
    inventory: Path
    kubeconfig: Path
    advice: str | None


def adopt(
    server: SshTarget, *, host_key: str | None, ask: Ask | None, inventory: Path | None, other_here: OtherHere
) -> Adopted:
    """Take over the cluster that `server` belongs to; nothing is changed on any node. `host_key` is the server's, `ask`
    is asked about one that nothing is known of. The inventory is written to `inventory`, or to NAME.yaml here.

    Raises Refused where another inventory or another cluster's state is in the way, ClusterupError.
    """
    found = fetch(server, host_key, ask)
    handover = found.handover
    place = inventory or Path(f"{handover.cluster}.yaml")
    check_inventory_place(place, handover.written)
    taken = take_over(found, other_here)
    write_inventory(place, handover.written)
    return Adopted(found, taken, place, write_own_kubeconfig(handover, place), bundle_advice(handover))
