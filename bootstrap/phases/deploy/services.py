"""Starting a node's units, and seeing that they run with what is on the disk."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterable, Sequence

from bootstrap.engine.action import Context
from bootstrap.errors import ClusterupError
from bootstrap.machine.units import Runs
from bootstrap.phases.deploy import commands
from bootstrap.protocol.files import NodeFile

# A machine that is slow, or emulated, takes its time for each start. What has failed so often by then will fail again.
START_SECONDS = 1800.0
FAILING_SECONDS = 600.0
FAILURES = 3


class UnitDown(ClusterupError):
    """A unit does not run with its newest settings. `keeps_failing`: it has failed again and again, or for good."""

    keeps_failing = False


def ensure_units(context: Context, node: str, units: Sequence[Runs], *, seconds: float = START_SECONDS) -> None:
    """Start what does not run, restart what runs with older settings, leave the rest alone, and wait until all run.

    Raises ClusterupError with the end of the journal of a unit that does not come up.
    """
    begin_units(context, node, units)
    began = time.monotonic()

    def run() -> bool:
        try:
            return units_run(context, node, units)
        except UnitDown as error:
            error.final = error.keeps_failing and time.monotonic() - began > FAILING_SECONDS
            raise

    context.wait_until(run, what=_names(units), timeout=seconds, every=2.0)


def begin_units(context: Context, node: str, units: Sequence[Runs]) -> None:
    """As `ensure_units`, without waiting."""
    context.on(node).check(commands.start_units(), stdin=commands.units_input(units))


def would_restart(context: Context, node: str, unit: Runs) -> bool:
    """Whether `ensure_units` would start or restart the unit. Raises ClusterupError."""
    said = context.on(node).check(commands.would_restart(), stdin=commands.units_input([unit])).text
    return unit.name in said.split()


def units_run(context: Context, node: str, units: Sequence[Runs]) -> bool:
    """True when all run with their newest settings. Raises UnitDown that says which does not, and why."""
    said = context.on(node).check(commands.unit_states(), stdin=commands.units_input(units)).text
    if not said:
        return True
    first, *journal = said.splitlines()
    _, name, state, restarts = first.split()
    down = UnitDown(
        f"{name} is {state}",
        node=node,
        got=" | ".join(line[-300:] for line in journal) or state,
        hint=f"look at `journalctl -u {name}` on {node}, then run the command again: it goes on from here",
    )
    down.keeps_failing = state == "failed" or int(restarts) >= FAILURES
    raise down


def put_files(context: Context, node: str, files: Iterable[NodeFile]) -> None:
    """Write files to a node; those below /etc also where the next boot finds them. Raises ClusterupError."""
    context.on(node).check(commands.put_files(), stdin=files_tar(files), timeout=120)


def files_tar(files: Iterable[NodeFile]) -> bytes:
    """A tar of the files, owned by root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            member = tarfile.TarInfo(file.path.lstrip("/"))
            member.size, member.mode = len(file.content), file.mode
            archive.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()


def _names(units: Sequence[Runs]) -> str:
    return ", ".join(unit.name.removesuffix(".service") for unit in units)
