"""The shell commands with which an installed node gets its payload, its files and its running units."""

from __future__ import annotations

from collections.abc import Iterable

from bootstrap.steps.layout import APPLIED_FOLDER, Unit
from bootstrap.transport.base import Command

PAYLOADS = "/var/lib/clusterup/payloads"
LINK = "/var/lib/extensions/clusterup.raw"

_USE_PAYLOAD = """\
set -eu
payload={} link={}
mkdir -p "$(dirname "$link")"
ln -sfn "$payload" "$link.new"
mv -Tf "$link.new" "$link"
systemd-sysext refresh >&2
[ -x /usr/bin/kubelet ] || {{ echo "systemd-sysext did not merge $payload into /usr" >&2; exit 1; }}
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
# A reload runs all of systemd's generators anew: seconds on a small machine.
if [ -d "$incoming/etc/systemd/system" ]; then systemctl daemon-reload; fi
rm -rf "$incoming"
"""

# Standard input: lines of "UNIT DIGEST".
_START = """\
set -eu
while read -r unit digest; do
    applied=
    [ ! -r {0}/"$unit" ] || applied=$(cat {0}/"$unit")
    if [ "$applied" != "$digest" ] || ! systemctl --quiet is-active "$unit"; then
        # What it was started with last is no longer what it will run with.
        rm -f {0}/"$unit"
        systemctl restart --no-block "$unit"
        echo "$unit"
    fi
done
"""

# A start that is under way is waited for on the node, for a while: asking again and again costs it more.
_STATES = """\
listed=$(cat)
timeout 15 systemctl start $(echo "$listed" | cut -d' ' -f1) >/dev/null 2>&1
echo "$listed" | while read -r unit digest; do
    applied=
    [ ! -r {0}/"$unit" ] || applied=$(cat {0}/"$unit")
    state=$(systemctl is-active "$unit")
    if [ "$state" = active ] && [ "$applied" = "$digest" ]; then continue; fi
    echo "unit $unit $state"
    if [ "$(systemctl show --property=NRestarts --value "$unit")" != 0 ] || [ "$state" = failed ]; then
        journalctl --unit "$unit" --lines 4 --output cat --no-pager
    fi
    exit 0
done
"""


def use_payload(path: str) -> Command:
    """Merge the payload at `path` into /usr, in place of the one that is there."""
    return Command.of("merge the payload", _USE_PAYLOAD, path, LINK)


def put_files() -> Command:
    """Unpack a tar of absolute paths without their first slash from standard input: below etc and var."""
    return Command.of("write files", _PUT_FILES)


def start_units() -> Command:
    """Begin to start what does not run or runs with older settings; prints those units' names."""
    return Command.of("start units", _START, APPLIED_FOLDER)


def unit_states() -> Command:
    """Wait up to 15 seconds for units that are starting, then say which is the first that does not run as it should: a
    line "unit NAME STATE", then the end of its journal when it
    has failed before. Nothing where all run."""
    return Command.of("look at units", _STATES, APPLIED_FOLDER)


def units_input(units: Iterable[Unit]) -> bytes:
    """Standard input of `start_units` and `unit_states`."""
    return "".join(f"{unit.name} {unit.digest}\n" for unit in units).encode()


def remove_file(path: str) -> Command:
    """Remove a file, if it is there."""
    return Command.of("remove a file", "rm -f {}", path)


def is_there(path: str) -> Command:
    """Print yes or no."""
    return Command.of("look for a file", "[ -e {} ] && echo yes || echo no", path)
