"""What is said of a state that lacks something, or holds what can't be used: which file, and the way back."""

from __future__ import annotations

from pathlib import Path

from bootstrap.errors import Refused


def lost(path: Path, way_back: str) -> Refused:
    """A file that the cluster can't do without is not there."""
    return Refused(
        f"the state here has lost {path.name}",
        step="state",
        tried=f"read {path}",
        got="no such file",
        hint=way_back.format(move=""),
    )


def damaged(path: Path, why: str, way_back: str, *others: Path) -> Refused:
    """A file holds something else than it should; `why` repeats nothing of a secret. `others` may be what is wrong as
    well: they have to go with it."""
    moves = "; ".join(f"mv {each} {each}.damaged" for each in (path, *others))
    return Refused(
        f"the state here has a damaged file: {path.name}",
        step="state",
        tried=f"read {path}",
        got=why,
        hint=way_back.format(move=f"move {'both' if others else 'it'} away ({moves}), then "),
    )


# How it comes back, after {move}.
FROM_A_SERVER = "{move}bring it back from a server: clusterup adopt root@SERVER"
FROM_A_COPY = (
    "{move}bring it back from a copy of this folder; without one, start the machines that were installed from the live "
    "stick again, move the whole folder away, and apply again"
)
MADE_ANEW = "{move}run the same command again: nothing was made with it yet, and another one is made"
AS_IT_IS = "{move}run the same command again: the cluster does without it"
