"""What was found in a cluster of that which an inventory's manifests say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bootstrap.manifests.kept import KeptObject


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """An object as it is: whether it is there, what would become other in it (a line a value), and why it can't be
    applied, where that is known."""

    key: str
    there: bool
    differences: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def as_wanted(self) -> bool:
        return self.there and not self.differences and not self.trouble


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """What an entry's objects are. `done`: all of them, as they are written now, were seen at work."""

    objects: tuple[ObjectFacts, ...]
    done: bool


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object that was applied and has left the inventory: `there`, and why it is not deleted, or an empty text."""

    kept: KeptObject
    there: bool
    stays: str = ""


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """What the cluster has of an inventory's manifests, by the names of their entries, and of what left them."""

    entries: Mapping[str, EntryFacts] = field(default_factory=dict)
    leftovers: tuple[Leftover, ...] = ()
