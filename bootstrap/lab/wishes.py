"""From the options of `lab up` to the lab that is asked for. What was left out is as in the lab that is there, or the
default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bootstrap.lab.spec import Accel, Lab, LabSpec, Reach, bad_option, fitting_cpus

NUMBERS = "a number for every machine, or NODE=NUMBER for one, as in server-1=1024"


@dataclass(frozen=True, slots=True)
class LabRequest:
    """The options as they were typed, None where one was left out.

    `memory` and `second_disk` hold N, for every machine, and NODE=N, for one; `on` NODE=SEGMENT.
    """

    name: str = "lab"
    inventory: Path = Path("lab.yaml")
    bundle: str | None = None
    accel: Accel = Accel.AUTO
    servers: int | None = None
    agents: int | None = None
    cpus: int | None = None
    disk: int | None = None
    memory: Sequence[str] | None = None
    second_disk: Sequence[str] | None = None
    arch: Sequence[str] | None = None
    segments: int | None = None
    on: Sequence[str] | None = None
    registry: bool | None = None
    by_console: Sequence[str] | None = None
    without_card: Sequence[str] | None = None


def spec_of(wishes: LabRequest, there: Lab | None, host_cpus: int) -> LabSpec:
    """The lab that is wished for. `there` is the one of that name, if any. Raises BadUse for what can't be read."""
    counts = _said(wishes, ("servers", "agents"), _counts(there))
    plain = LabSpec(name=wishes.name, inventory=wishes.inventory, bundle=wishes.bundle, accel=wishes.accel)
    spec = replace(plain, **counts)
    kept = _shape(there, spec)
    fields = _said(wishes, ("cpus", "disk", "segments", "registry"), kept)
    # A lab of fewer segments than there are is another lab, whatever its machines are on.
    kept["on"] = {name: on for name, on in kept.get("on", {}).items() if on <= fields.get("segments", on)}
    for option, every in (("memory", "memory"), ("second_disk", "second_disk"), ("on", None)):
        fields |= _of_machines(option, every, getattr(wishes, option) or (), kept)
    fields |= _arches(wishes.arch or (), kept.get("arch", {}))
    for way in ("by_console", "without_card"):
        names = getattr(wishes, way)
        fields[way] = tuple(kept.get(way, ()) if names is None else names)
    if there is None and wishes.cpus is None:
        fields["cpus"] = fitting_cpus(spec.servers + spec.agents, host_cpus)
    return replace(spec, **fields)


def _said(wishes: LabRequest, options: Sequence[str], kept: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of these options, and what is kept of those of which nothing was."""
    found = {option: kept[option] for option in options if option in kept}
    return found | {option: said for option in options if (said := getattr(wishes, option)) is not None}


def _counts(there: Lab | None) -> dict[str, Any]:
    return {"servers": len(there.servers), "agents": len(there.agents)} if there else {}


def _shape(there: Lab | None, spec: LabSpec) -> dict[str, Any]:
    """What is kept of a lab that is there, for those of its machines that are still asked for."""
    if there is None:
        return {}
    machines = [*there.servers[: max(spec.servers, 0)], *there.agents[: max(spec.agents, 0)]]
    return {
        "cpus": there.cpus,
        "disk": there.disk,
        "segments": there.segments,
        "registry": there.registry_port is not None,
        "memory": {machine.name: machine.memory for machine in machines},
        "second_disk": {machine.name: machine.second_disk for machine in machines},
        "on": {machine.name: machine.segment for machine in machines},
        "arch": {machine.name: machine.arch for machine in machines},
        "by_console": [machine.name for machine in machines if machine.reach is Reach.CONSOLE],
        "without_card": [machine.name for machine in machines if machine.reach is Reach.NO_CARD],
    }


def _of_machines(option: str, every: str | None, texts: Sequence[str], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the spec for an option that is said of every machine (`every` is its field) or of one."""
    typed = f"--{option.replace('_', '-')}"
    plain, named = _read(typed, texts)
    if plain is not None and every is None:
        raise bad_option(f"{typed} {plain}", "NODE=NUMBER, as in server-1=2")
    field = f"{option}_of" if every else option
    if plain is not None:
        return {option: plain, field: tuple(named.items())}
    return {field: tuple({**kept.get(option, {}), **named}.items())}


def _arches(texts: Sequence[str], kept: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the spec for --arch: ARCH for every machine, or NODE=ARCH for one."""
    named = {node: arch for node, equals, arch in (text.partition("=") for text in texts) if equals}
    plain = [text for text in texts if "=" not in text]
    if len(plain) > 1:
        raise bad_option(f"--arch {plain[1]}: it is given twice", "once, and NODE=ARCH for some of the machines")
    if plain:
        return {"arch": plain[0], "arch_of": tuple(named.items())}
    return {"arch_of": tuple({**kept, **named}.items())}


def _read(option: str, texts: Sequence[str]) -> tuple[int | None, dict[str, int]]:
    """The number that was said of every machine, if any, and those that were said of one."""
    plain: int | None = None
    named: dict[str, int] = {}
    for text in texts:
        node, _, number = text.rpartition("=")
        if not (number.isascii() and number.isdigit() and len(number) < 10) or text.startswith("="):
            raise bad_option(f"{option} {text}", NUMBERS)
        if node in named or (not node and plain is not None):
            raise bad_option(f"{option} {text}: it is given twice{f' for {node}' if node else ''}", "once")
        if node:
            named[node] = int(number)
        else:
            plain = int(number)
    return plain, named
