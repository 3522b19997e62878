"""The shell commands with which an installed node gets its payload, its files and its running units."""

from __future__ import annotations

from collections.abc import Iterable

from bootstrap.constants.paths import APPLIED_FOLDER, PAYLOAD_LINK
from bootstrap.machine.units import Runs
from bootstrap.transport.base import Command

_USE_PAYLOAD = """\
set -eu
payload={} link={}
mkdir -p /run/clusterup "$(dirname "$link")"
# An end between here and the last line leaves the link and /usr of two minds.
: >/run/clusterup/merging
ln -sfn "$payload" "$link.new"
mv -Tf "$link.new" "$link"
systemd-sysext refresh >&2
[ -x /usr/bin/kubelet ] || {{ echo "systemd-sysext did not merge $payload into /usr" >&2; exit 1; }}
rm -f /run/clusterup/merging
"""

_PUT_FILES = """\
set -eu
incoming=/var/lib/clusterup/incoming
rm -rf "$incoming"
mkdir -m 0700 -p "$incoming"
tar -x --no-same-owner --same-permissions -C "$incoming"
# First where a reboot finds them, then where they are read now.
if [ -d "$incoming/etc" ]; then
    mkdir -p /var/lib/clusterup/etc
    cp -a "$incoming/etc/." /var/lib/clusterup/etc/
    cp -a "$incoming/etc/." /etc/
fi
if [ -d "$incoming/var" ]; then cp -a "$incoming/var/." /var/; fi
sync
# A reload runs all of systemd's generators again: seconds on a small machine.
if [ -d "$incoming/etc/systemd/system" ]; then systemctl daemon-reload; fi
rm -rf "$incoming"
"""

# Standard input: lines of "UNIT DIGEST".
_WHICH = """\
set -eu
while read -r unit digest; do
    applied= starting=
    [ ! -r {0}/"$unit" ] || read -r applied rest <{0}/"$unit"
    [ ! -r {0}/."$unit" ] || read -r starting rest <{0}/."$unit"
    if [ "$applied" = "$digest" ] && systemctl --quiet is-active "$unit"; then continue; fi
    # A start that is under way with what it should run with would begin again: minutes on a small machine.
    if [ "$starting" = "$digest" ]; then
        case $(systemctl show --property SubState --value "$unit") in start*) continue ;; esac
    fi
    echo "$unit"
    {1}
done
"""

# What it was started with last is no longer what it will run with. Its file may be of a run that ended before it told
# systemd.
_RESTART = """\
rm -f {}/"$unit"
    [ "$(systemctl show --property NeedDaemonReload --value "$unit")" = no ] || systemctl daemon-reload
    systemctl restart --no-block "$unit\""""

_SET_ASIDE = """\
set -eu
systemctl stop {unit}
mv -T {folder} {folder}.removed-"$(date +%Y%m%dT%H%M%SZ)"
"""

# A start that is under way is waited for on the node, for a while: asking again and again costs it more.
_STATES = """\
listed=$(cat)
timeout 15 systemctl start $(echo "$listed" | cut -d' ' -f1) >/dev/null 2>&1
echo "$listed" | while read -r unit digest; do
    applied=
    [ ! -r {0}/"$unit" ] || read -r applied rest <{0}/"$unit"
    state=$(systemctl is-active "$unit")
    if [ "$state" = active ] && [ "$applied" = "$digest" ]; then continue; fi
    restarts=$(systemctl show --property=NRestarts --value "$unit")
    echo "unit $unit $state ${{restarts:-0}}"
    if [ "${{restarts:-0}}" != 0 ] || [ "$state" = failed ]; then
        journalctl --unit "$unit" --lines 4 --output cat --no-pager
    fi
    exit 0
done
"""


def use_payload(path: str) -> Command:
    """Merge the payload at `path` into /usr, in place of the one that is there."""
    return Command.of("merge the payload", _USE_PAYLOAD, path, PAYLOAD_LINK)


def put_files() -> Command:
    """Unpack a tar of absolute paths without their first slash from standard input: below etc and var."""
    return Command.of("write files", _PUT_FILES)


def start_units() -> Command:
    """Begin to start what does not run or runs with older settings; prints those units' names. A start that is
    under way with the right ones goes on."""
    return Command("start units", _WHICH.format(APPLIED_FOLDER, _RESTART.format(APPLIED_FOLDER)))


def would_restart() -> Command:
    """Print the names of the units that `start_units` would start or restart."""
    return Command("look at what runs", _WHICH.format(APPLIED_FOLDER, ":"))


def set_aside(unit: str, folder: str) -> Command:
    """Stop a unit and give its data another name, with the time in it, beside where it was."""
    return Command(f"set the data of {unit} aside", _SET_ASIDE.format(unit=unit, folder=folder))


def unit_states() -> Command:
    """Wait up to 15 seconds for units that are starting, then say which is the first that does not run as it should: a
    line "unit NAME STATE RESTARTS", then the end of its journal when it has failed before. Nothing where all run."""
    return Command.of("look at units", _STATES, APPLIED_FOLDER)


def units_input(units: Iterable[Runs]) -> bytes:
    """Standard input of `start_units` and `unit_states`."""
    return "".join(f"{unit.name} {unit.digest}\n" for unit in units).encode()


def remove_file(path: str) -> Command:
    """Remove a file, if it is there."""
    return Command.of("remove a file", "rm -f {}", path)


def read_certificates(path: str) -> Command:
    """Print the certificates in a PEM file, and never the keys; nothing where there is no such file."""
    script = "[ ! -r {0} ] || sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' {0}"
    return Command.of("read a certificate", script, path)


def is_there(path: str) -> Command:
    """Print yes or no."""
    return Command.of("look for a file", "[ -e {} ] && echo yes || echo no", path)


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
