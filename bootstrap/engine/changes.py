"""What an action would change, for whoever reads a plan: a node's files, units that start again, objects of the
cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NEW, OTHER_CONTENT, OTHER_MODE = "new", "other content", "other mode"
DELETED, STAYS, REFUSED = "deleted", "stays", "refused"
STARTS, RESTARTS, STOPS = "starts", "restarts", "stops"


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that would be written: `what` is NEW, OTHER_CONTENT or OTHER_MODE. Nothing of a secret one is shown."""

    path: str
    what: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A unit that would start, start again or stop: `does` is STARTS, RESTARTS or STOPS; `interrupts` says in words
    what that interrupts."""

    unit: str
    does: str
    interrupts: str = ""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """An object that would be made or changed, and how (a line a value), or deleted: `what` is NEW, OTHER_CONTENT,
    DELETED, STAYS (it would be, and is not, because of `why`) or REFUSED (it can't be, because of `why`)."""

    key: str
    what: str
    lines: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What an action would change, in order."""

    files: tuple[FileChange, ...] = ()
    units: tuple[UnitChange, ...] = ()
    objects: tuple[ObjectChange, ...] = ()


NO_CHANGES = Changes()


def changes_as_data(changes: Changes) -> dict[str, Any]:
    """The changes as plain data; what there is none of is left out."""
    files = [{"path": each.path, "change": each.what, "secret": each.secret} for each in changes.files]
    units = [{"unit": each.unit, "does": each.does, "interrupts": each.interrupts} for each in changes.units]
    objects = [
        {"object": each.key, "change": each.what, "diff": list(each.lines), "why": each.why} for each in changes.objects
    ]
    named = {"files": files, "units": units, "objects": objects}
    return {name: each for name, each in named.items() if each}
