"""The shell commands on a node that leaves, besides those that clean it."""

from __future__ import annotations

from collections.abc import Iterable

from bootstrap.transport.base import Command

_STOP = """\
units={}
for unit in $units; do
    systemctl stop "$unit" 2>/dev/null
    ! systemctl --quiet is-active "$unit" || {{ echo "$unit does not stop" >&2; exit 1; }}
done
"""


def stop_units(units: Iterable[str]) -> Command:
    """Stop units, in this order; those that are not there count as stopped."""
    names = " ".join(units)
    return Command.of(f"stop {names}", _STOP, names)
