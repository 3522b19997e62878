"""What was looked at, and what is wrong with it: values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from bootstrap.errors import ClusterupError, ErrorGroup

CLUSTER = "the cluster"
HERE = "this machine"


class Weight(Enum):
    """How bad it is: something does not work, or it will not for long."""

    FAULT = "fault"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong. `where` is a node's name, `CLUSTER` or `HERE`; `about` what was looked at (clock, disk,
    etcd); `what` one sentence, `why` what was seen that says so, `mend` what to do, a command where there is one."""

    weight: Weight
    where: str
    about: str
    what: str
    why: str
    mend: str

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "weight": self.weight.value}


@dataclass(frozen=True, slots=True)
class Examined:
    """All that was found. `looked_at` has each place with what was looked at there, whatever came of it; `none_reached`
    says that no machine showed what it is."""

    findings: tuple[Finding, ...]
    looked_at: tuple[tuple[str, tuple[str, ...]], ...]
    none_reached: bool

    @property
    def faults(self) -> int:
        return sum(each.weight is Weight.FAULT for each in self.findings)

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "faults": self.faults,
            "warnings": len(self.findings) - self.faults,
            "findings": [each.as_data() for each in self.findings],
            "looked_at": {where: list(about) for where, about in self.looked_at},
        }


def fault(where: str, about: str, what: str, *, why: str, mend: str) -> Finding:
    """Something that does not work."""
    return Finding(Weight.FAULT, where, about, what, why, mend)


def warning(where: str, about: str, what: str, *, why: str, mend: str) -> Finding:
    """Something that will not work for long, or not as well as it could."""
    return Finding(Weight.WARNING, where, about, what, why, mend)


def of_error(error: ClusterupError, where: str, about: str) -> Iterator[Finding]:
    """What an error says, as findings; one for each where it is several."""
    if isinstance(error, ErrorGroup):
        for each in error.errors:
            yield from of_error(each, where, about)
        return
    seen = "; ".join(part for part in (error.tried, error.got) if part)
    yield fault(error.node or where, about, error.problem, why=seen, mend=error.hint)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Faults before warnings; each of them in the order in which they were found, and once."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda each: each.weight is not Weight.FAULT))
