"""Keeping the cluster's secrets on the operator's machine, before anything is done that rests on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import ClusterFacts
from bootstrap.image.bundle import Bundle
from bootstrap.inventory.model import Inventory
from bootstrap.phases.pinned import is_pinned, pin
from bootstrap.pki.store import AUTHORITIES
from bootstrap.state.cluster import MACHINE_ID, ClusterState

ID = "cluster/keys"


def keys_action(state: ClusterState, inventory: Inventory, bundle: Bundle, world: ClusterFacts) -> Action[ClusterFacts]:
    """The action that writes what was made for the cluster into the state: its authorities, certificates and
    identities, and what it is made of. Of a cluster that was founded that is only noted while it says so itself."""
    known = not state.founded or world.api is not None

    def check(_: ClusterFacts) -> str | None:
        if made := state.vault.made:
            return _described(made)
        if not known or is_pinned(state, inventory, bundle):
            return None
        return "what the cluster is made of is not noted yet"

    def apply(_: Context) -> None:
        state.keep_made()
        if known:
            pin(state, inventory, bundle)

    return Action(
        id=ID,
        node=None,
        step="keys",
        title=f"keep the cluster's keys and certificates in {state.folder}",
        check=check,
        apply=apply,
    )


def _described(made: Sequence[str]) -> str:
    """What is made, in words: "3 authorities, 31 certificates are to be made"."""
    if len(made) <= 2:
        return f"{' and '.join(made)} {'is' if len(made) == 1 else 'are'} to be made"
    counted = Counter(_kind(name) for name in made)
    parts = [f"{counted[kind]} {words[counted[kind] > 1]}" for kind, words in _KINDS.items() if counted[kind]]
    return f"{', '.join(parts)} {'is' if len(parts) == 1 and 1 in counted.values() else 'are'} to be made"


_KINDS = {
    "authority": ("authority", "authorities"),
    "certificate": ("certificate", "certificates"),
    "identity": ("identity of a node", "identities of nodes"),
    "secret": ("secret of the cluster", "secrets of the cluster"),
}


def _kind(name: str) -> str:
    """What a file counts as; a key goes with its certificate, and a host key with its node's id."""
    path, _, kind = name.rpartition(".")
    if kind == "crt":
        return "authority" if path in AUTHORITIES else "certificate"
    if name.startswith("nodes/"):
        return "identity" if name.endswith(MACHINE_ID) else ""
    return "" if kind == "pub" or (kind == "key" and path != "pki/sa") else "secret"
