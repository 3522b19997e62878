"""Facts of a node: one script, one round trip, read into a value."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bootstrap.errors import ClusterupError
from bootstrap.facts.model import DiskFacts, InterfaceFacts, NodeFacts, UnitFacts
from bootstrap.facts.stretches import StretchOfDisk
from bootstrap.outside import parsed_json
from bootstrap.paths import templates_dir
from bootstrap.transport.base import Command, Transport

LONGEST = 4 << 20
"""Characters of an answer: a thousand disks and a thousand files need a tenth of it."""
SHOWN = 120
# The fields behind each word, as templates/node/facts.sh says it. What begins with another word is not part of the
# answer: login shells greet, and newer scripts may say more.
FIELDS: Mapping[str, int] = {
    **dict.fromkeys(("hostname", "machine_id", "boot_id", "clock", "memory", "cpus", "architecture", "uefi"), 1),
    **dict.fromkeys(("cluster", "configuration", "etcd_data", "payload", "trace"), 1),
    **{"image": 3, "interface": 3, "disk": 8, "partition": 2, "range": 3, "file": 2, "mode": 2, "unit": 4, "end": 0},
}
REQUIRED = ("hostname", "machine_id", "boot_id", "clock", "memory", "cpus", "architecture")
"""Said exactly once by every machine."""
SEVERAL = ("trace", "interface", "disk", "partition", "range", "file", "mode", "unit")
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_MODE = re.compile(r"[0-7]{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Files (absolute paths) and units whose state is asked for, and stretches of those disks that hold something.
    `disks` is why those of an installed node are asked for too, empty where they are not."""

    files: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    ranges: tuple[StretchOfDisk, ...] = ()
    disks: str = ""

    @property
    def stdin(self) -> bytes:
        lines = [*(f"file {path}" for path in self.files), *(f"unit {name}" for name in self.units)]
        lines += [f"range {name} {offset} {size}" for name, offset, size in self.ranges]
        lines += ["disks"] if self.disks else []
        return "".join(f"{line}\n" for line in lines).encode()


def read_node(transport: Transport, wanted: Wanted, clock: Callable[[], float] = time.time) -> NodeFacts:
    """The facts of the node that `transport` leads to. Raises ClusterupError when it gives no answer, or one that is
    not as it should be."""
    asked = clock()
    result = transport.check(Command("read facts", _script()), stdin=wanted.stdin, timeout=60)
    return parse_facts(result.text, node=transport.node, at=(asked + clock()) / 2)


@cache
def _script() -> str:
    return (templates_dir() / "node" / "facts.sh").read_text()


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the answer: its number, from 1, and the fields behind its word."""

    number: int
    word: str
    fields: tuple[str, ...]


_Lines = Mapping[str, Sequence[_Line]]


class _Garbled(Exception):
    """An answer that is not as it should be: `said` is what it says, `place` where, as far as it is one place."""

    def __init__(self, place: str, said: str, problem: str = "what it says of itself can't be understood") -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place
        self.said = said

    @classmethod
    def line(cls, line: _Line, why: str) -> _Garbled:
        said = repr("\t".join((line.word, *line.fields)))
        shown = said if len(said) <= SHOWN else f"{said[:SHOWN]}..."
        return cls(f"line {line.number} of its answer", f"{shown}: {why}")


def parse_facts(text: str, *, node: str, at: float) -> NodeFacts:
    """The facts in what the script said; `at` is the operator's time (epoch seconds) when the node was asked. Raises
    ClusterupError that names the line which is not as it should be."""
    try:
        return _facts(_by_word(text), at)
    except _Garbled as garbled:
        raise ClusterupError(
            garbled.problem,
            node=node,
            step="facts",
            tried=f"read {garbled.place}",
            got=garbled.said,
            hint="try again; if it stays, look at what the node's own tools say there (lsblk, ip, the login shell's "
            "greeting), and run with -v",
        ) from None


def _by_word(text: str) -> _Lines:
    """The lines of the answer by their first words. Only line feeds end lines: what a disk says of itself may hold
    everything else that Unicode takes for a line's end."""
    if len(text) > LONGEST:
        raise _Garbled("its answer", f"{len(text)} characters, and {LONGEST} are possible")
    found: dict[str, list[_Line]] = {word: [] for word in FIELDS}
    for number, content in enumerate(text.split("\n"), 1):
        word, *fields = content.split("\t")
        line = _Line(number, word, tuple(fields))
        if word not in FIELDS:
            continue
        if len(fields) != FIELDS[word]:
            raise _Garbled.line(line, f"{len(fields)} fields, not {FIELDS[word]}")
        if found[word] and word not in SEVERAL:
            raise _Garbled.line(line, f"said before, in line {found[word][0].number}")
        found[word].append(line)
    if not found["end"]:
        raise _Garbled("its answer to the end", repr(text[-SHOWN:]) if text else "nothing", "its answer was cut short")
    missing = [word for word in REQUIRED if not found[word]]
    if missing:
        raise _Garbled("its answer", f"it does not say: {', '.join(missing)}")
    return found


def _facts(lines: _Lines, at: float) -> NodeFacts:
    (image, variant, version) = lines["image"][0].fields if lines["image"] else ("", "", "")
    return NodeFacts(
        hostname=_one(lines, "hostname"),
        kind=_kind(image, variant),
        machine_id=_one(lines, "machine_id"),
        boot_id=_one(lines, "boot_id"),
        skew=_number(lines["clock"][0], 0) - at,
        memory=_number(lines["memory"][0], 0) * 1024,
        cpus=_number(lines["cpus"][0], 0),
        architecture=_one(lines, "architecture"),
        uefi=bool(lines["uefi"]),
        os_version=version or None if image == "clusterup" else None,
        cluster_id=_cluster(_one(lines, "cluster")),
        configuration=_one(lines, "configuration") or None,
        payload=_one(lines, "payload") or None,
        etcd_data=bool(lines["etcd_data"]),
        traces=tuple(line.fields[0] for line in lines["trace"]),
        interfaces=tuple(_interfaces(lines["interface"])),
        disks=tuple(_disks(lines)),
        files={line.fields[1]: line.fields[0] for line in lines["file"]},
        modes={line.fields[1]: _mode(line) for line in lines["mode"]},
        units={line.fields[0]: _unit(line) for line in lines["unit"]},
    )


def _one(lines: _Lines, word: str) -> str:
    return lines[word][0].fields[0] if lines[word] else ""


def _number(line: _Line, field: int) -> int:
    if not _NUMBER.fullmatch(line.fields[field]):
        raise _Garbled.line(line, f"{line.fields[field][:SHOWN]!r} is not a number")
    return int(line.fields[field])


def _mode(line: _Line) -> int:
    if not _MODE.fullmatch(line.fields[0]):
        raise _Garbled.line(line, f"{line.fields[0][:SHOWN]!r} is not a mode")
    return int(line.fields[0], 8)


def _kind(image: str, variant: str) -> Literal["live", "installed", "other"]:
    if image != "clusterup":
        return "other"
    return "live" if variant == "live" else "installed"


def _cluster(text: str) -> str | None:
    try:
        return str(parsed_json(text)["id"])
    except (ValueError, KeyError, TypeError):
        return None


def _interfaces(lines: Sequence[_Line]) -> Iterator[InterfaceFacts]:
    for line in lines:
        name, mac, addresses = line.fields
        yield InterfaceFacts(name, mac.lower(), tuple(addresses.split()))


def _unit(line: _Line) -> UnitFacts:
    _, active, since, applied = line.fields
    if since:
        _number(line, 2)
    return UnitFacts(active, applied or None, since)


def _disks(lines: _Lines) -> Iterator[DiskFacts]:
    partitions = [line.fields for line in lines["partition"]]
    ranges = [line.fields for line in lines["range"]]
    for line in lines["disk"]:
        path, _, serial, model, readonly, use, contents, aliases = line.fields
        yield DiskFacts(
            path=path,
            size=_number(line, 1),
            model=model,
            serial=serial,
            aliases=tuple(aliases.split()),
            contents=contents,
            in_use=bool(use),
            readonly=readonly == "1",
            partitions=tuple(label for disk, label in partitions if disk == path),
            ranges={name: digest for disk, name, digest in ranges if disk == path},
        )
