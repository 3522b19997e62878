"""Facts of a node: one script, one round trip, read into a value."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bootstrap.errors import ClusterupError
from bootstrap.paths import templates_dir
from bootstrap.steps.world import DiskFacts, InterfaceFacts, NodeFacts, UnitFacts
from bootstrap.transport.base import Command, Transport

Lines = dict[str, list[list[str]]]
StretchOfDisk = tuple[str, int, int]
"""Name, offset and size in bytes, multiples of 64 KiB."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Files (absolute paths) and units whose state is asked for, and stretches of those disks that hold something."""

    files: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    ranges: tuple[StretchOfDisk, ...] = ()

    @property
    def stdin(self) -> bytes:
        lines = [*(f"file {path}" for path in self.files), *(f"unit {name}" for name in self.units)]
        lines += [f"range {name} {offset} {size}" for name, offset, size in self.ranges]
        return "".join(f"{line}\n" for line in lines).encode()


def read_node(transport: Transport, wanted: Wanted, clock: Callable[[], float] = time.time) -> NodeFacts:
    """The facts of the node that `transport` leads to. Raises ClusterupError when its answer is cut short."""
    asked = clock()
    result = transport.check(Command("read facts", _script()), stdin=wanted.stdin, timeout=60)
    return parse_facts(result.text, node=transport.node, at=(asked + clock()) / 2)


@cache
def _script() -> str:
    return (templates_dir() / "node" / "facts.sh").read_text()


def parse_facts(text: str, *, node: str, at: float) -> NodeFacts:
    """The facts in what the script said; `at` is the operator's time (epoch seconds) when the node was asked."""
    lines = _by_word(text.splitlines())
    if "end" not in lines:
        raise ClusterupError(
            "the node's answer was cut short",
            node=node,
            step="facts",
            tried="read what the machine is",
            got=text[-200:] or "nothing",
            hint="try again; if it stays, run with -v and look at the command's error output",
        )
    image, variant, version = (lines.get("image") or [["", "", ""]])[0]
    return NodeFacts(
        hostname=_one(lines, "hostname"),
        kind=_kind(image, variant),
        machine_id=_one(lines, "machine_id"),
        boot_id=_one(lines, "boot_id"),
        skew=int(_one(lines, "clock")) - at,
        memory=int(_one(lines, "memory")) * 1024,
        cpus=int(_one(lines, "cpus")),
        architecture=_one(lines, "architecture"),
        uefi="uefi" in lines,
        os_version=version or None if image == "clusterup" else None,
        cluster_id=_cluster(_one(lines, "cluster")),
        configuration=_one(lines, "configuration") or None,
        payload=_one(lines, "payload") or None,
        etcd_data="etcd_data" in lines,
        traces=tuple(path for (path,) in lines.get("trace", [])),
        interfaces=tuple(_interfaces(lines.get("interface", []))),
        disks=tuple(_disks(lines)),
        files={path: digest for digest, path in lines.get("file", [])},
        modes={path: int(mode, 8) for mode, path in lines.get("mode", [])},
        units={
            name: UnitFacts(active, applied or None, since) for name, active, since, applied in lines.get("unit", [])
        },
    )


def _by_word(lines: Iterable[str]) -> Lines:
    found: Lines = {}
    for line in lines:
        word, *fields = line.split("\t")
        found.setdefault(word, []).append(fields)
    return found


def _one(lines: Lines, word: str) -> str:
    return lines[word][0][0] if word in lines else ""


def _kind(image: str, variant: str) -> Literal["live", "installed", "other"]:
    if image != "clusterup":
        return "other"
    return "live" if variant == "live" else "installed"


def _cluster(text: str) -> str | None:
    try:
        return str(json.loads(text)["id"])
    except (ValueError, KeyError, TypeError):
        return None


def _interfaces(rows: Iterable[list[str]]) -> Iterator[InterfaceFacts]:
    for name, mac, addresses in rows:
        yield InterfaceFacts(name, mac.lower(), tuple(addresses.split()))


def _disks(lines: Lines) -> Iterator[DiskFacts]:
    partitions, ranges = lines.get("partition", []), lines.get("range", [])
    for path, size, serial, model, readonly, use, contents, aliases in lines.get("disk", []):
        yield DiskFacts(
            path=path,
            size=int(size),
            model=model,
            serial=serial,
            aliases=tuple(aliases.split()),
            contents=contents,
            in_use=bool(use),
            readonly=readonly == "1",
            partitions=tuple(label for disk, label in partitions if disk == path),
            ranges={name: digest for disk, name, digest in ranges if disk == path},
        )
