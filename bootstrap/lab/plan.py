"""The lab that a person's wish leads to: its machines' names, addresses, serial numbers, ports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bootstrap.lab.spec import (
    NETWORK,
    PREFIX_LENGTH,
    ROUTER,
    SERIAL_LENGTH,
    Accel,
    Lab,
    LabMachine,
    LabSpec,
    hardware_address,
    planned_names,
)


def ports_needed(spec: LabSpec) -> int:
    """How many ports of 127.0.0.1 the lab takes."""
    return 2 * spec.servers + spec.agents + (2 if spec.registry else 1)


def planned_lab(spec: LabSpec, folder: Path, accel: Accel, ports: Sequence[int], host_keys: Sequence[str]) -> Lab:
    """The lab that `spec` asks for, in `folder`, with `ports` (see `ports_needed`) given out in order, and a public
    host key for each machine."""
    left = iter(ports)
    endpoint_port = next(left)
    registry_port = next(left) if spec.registry else None
    return Lab(
        name=spec.name,
        folder=folder,
        machines=_planned_machines(spec, left, host_keys),
        cpus=spec.cpus,
        disk=spec.disk,
        accel=accel,
        endpoint_port=endpoint_port,
        inventory=spec.inventory.absolute(),
        qemu_options=spec.qemu_options,
        segments=spec.segments,
        registry_port=registry_port,
    )


def _planned_machines(spec: LabSpec, ports: Iterator[int], host_keys: Sequence[str]) -> tuple[LabMachine, ...]:
    keys = iter(host_keys)
    return tuple(
        LabMachine(
            name=name,
            role=role,
            address=address_in(spec.segment_for(name), last),
            serial=f"lab-{name}"[:SERIAL_LENGTH],
            private_mac=hardware_address(spec.name, name, "private"),
            access_mac=hardware_address(spec.name, name, "access"),
            ssh_port=next(ports),
            api_port=next(ports) if role == "server" else None,
            host_key=next(keys),
            memory=spec.memory_for(name),
            reach=spec.reach(name),
            second_disk=spec.second_disk_for(name),
            segment=spec.segment_for(name),
            arch=spec.arch_for(name),
            router=address_in(spec.segment_for(name), ROUTER) if spec.segments > 1 else None,
        )
        for role, name, last in planned_names(spec)
    )


def address_in(segment: int, last: int) -> str:
    """An address of a segment's network: its `last` byte, 1 for the router."""
    return f"{NETWORK.rpartition('.')[0]}.{segment - 1}.{last}"


def network_of(segment: int) -> str:
    """A segment's network, as in 10.77.0.0/24."""
    return f"{address_in(segment, 0)}/{PREFIX_LENGTH}"
