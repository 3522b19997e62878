"""What the services of a node say: the question that journalctl(1) is asked there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

# A unit that is not there, and of which nothing is kept either, is none that was meant.
_UNKNOWN = """\
for unit in {units}; do
    [ "$(systemctl show --property=LoadState --value -- "$unit")" = not-found ] || continue
    [ -z "$(journalctl --quiet --lines=1 --unit="$unit" 2>/dev/null)" ] || continue
    echo "there is no unit $unit here, and nothing is kept of one; there are:" >&2
    systemctl list-units --all --plain --no-legend --type=service 'kube*' 'etcd*' 'containerd*' 'clusterup-*' |
        sed 's/ .*//; s/^/  /' >&2
    exit {nothing}
done
"""
# The exit code where a unit is not known there.
NOTHING = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: of these `units` (all where none is named), the last `lines` of them, not before `since` as
    systemd.time(7) has it, and what `follows`."""

    units: Sequence[str]
    lines: int
    since: str | None = None
    follows: bool = False


def logs_script(wanted: Wanted) -> str:
    """A shell script that prints them, with the time of each in ISO 8601."""
    units = " ".join(map(shlex.quote, wanted.units))
    argv = ["journalctl", "--no-pager", "--output=short-iso", f"--lines={wanted.lines}"]
    argv += [f"--unit={unit}" for unit in wanted.units]
    argv += [f"--since={wanted.since}"] if wanted.since else []
    argv += ["--follow"] if wanted.follows else []
    known = _UNKNOWN.format(units=units, nothing=NOTHING) if units else ""
    return f"{known}exec {shlex.join(argv)}"
