"""What an action would change on its node, for whoever reads a plan: files, and units that start again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NEW, OTHER_CONTENT, OTHER_MODE = "new", "other content", "other mode"
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
class Changes:
    """What an action would change, in order."""

    files: tuple[FileChange, ...] = ()
    units: tuple[UnitChange, ...] = ()


NO_CHANGES = Changes()


def changes_as_data(changes: Changes) -> dict[str, Any]:
    """The changes as plain data; what there is none of is left out."""
    files = [{"path": each.path, "change": each.what, "secret": each.secret} for each in changes.files]
    units = [{"unit": each.unit, "does": each.does, "interrupts": each.interrupts} for each in changes.units]
    return {**({"files": files} if files else {}), **({"units": units} if units else {})}
