"""The arithmetic of a quorum that loses a voter: what it needs now, and what would be left of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuorumLeft:
    """`voters` is the number of votes now, `answering` that of voters among the others that answer through the
    quorum. That one of them does shows that the quorum holds now, without which no member can be removed."""

    leaving: str
    voters: int
    answering: int

    @property
    def left(self) -> int:
        """Voters without the one that leaves."""
        return self.voters - 1

    @property
    def holds(self) -> bool:
        """Whether those that are left are a quorum of themselves."""
        return 0 < _needed(self.left) <= self.answering

    def __str__(self) -> str:
        return (
            f"{_members(self.voters)}, {_needed(self.voters)} needed; without {self.leaving}: {_members(self.left)}, "
            f"{_needed(self.left)} needed, {self.answering} answer{'s' if self.answering == 1 else ''}"
        )


def quorums_left(voters: Sequence[str], leaving: Sequence[str], answering: Collection[str]) -> dict[str, QuorumLeft]:
    """What is left of the quorum after each of those that leave, one after the other. All are names; `answering` are
    those of voters that answer through the quorum. Who has no vote takes nothing from it, and is not in the answer."""
    left = list(voters)
    found: dict[str, QuorumLeft] = {}
    for name in leaving:
        if name in left:
            others = [voter for voter in left if voter != name]
            found[name] = QuorumLeft(name, len(left), len([voter for voter in others if voter in answering]))
            left = others
    return found


def _needed(voters: int) -> int:
    return voters // 2 + 1 if voters else 0


def _members(count: int) -> str:
    return f"{count} member{'' if count == 1 else 's'}"
