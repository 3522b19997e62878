"""How the nodes of an operation are opened: while it looks at them, and while it acts on them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from bootstrap.connect.console_log import watched_consoles
from bootstrap.connect.console_login import Say, with_consoles, with_last_words
from bootstrap.connect.ssh import VOUCH, Ask, OpenNode, opener
from bootstrap.inventory.model import Inventory
from bootstrap.state.cluster import ClusterState


@dataclass(frozen=True)
class Entry:
    """`looks` and `acts` make what opens a node, and are given what is told (node, what it says of itself). `watches`
    reads along on consoles while the context lasts; it is given what others are told who want a line meanwhile."""

    looks: Callable[[Say], OpenNode]
    acts: Callable[[Say], OpenNode]
    watches: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext()


def over_ssh(inventory: Inventory, state: ClusterState, ask: Ask | None, vouch: str = VOUCH) -> Entry:
    """Over SSH alone. `ask` and `vouch` are as for `opener`; once something is done no one is asked."""
    return Entry(lambda _: opener(inventory, state, ask, vouch), lambda _: opener(inventory, state, None, vouch))


def over_consoles(everybody: Inventory, staying: Inventory, state: ClusterState, ask: Ask | None) -> Entry:
    """Over SSH, and over the consoles of those that have one: a node without a network gets it there when it is looked
    at, and what it last wrote there is said when it is lost later. Those that stay are read along while something is
    done; `everybody` has those that leave, too."""
    return Entry(
        lambda say: with_consoles(everybody, state, say)(opener(everybody, state, ask)),
        lambda say: with_last_words(everybody, state, say)(opener(everybody, state, None)),
        lambda doing: watched_consoles(staying, doing),
    )
