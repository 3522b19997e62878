"""The name servers of the node itself, to which goes what is not a name of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

# What systemd-resolved learned from DHCP and the cards' settings; resolv.conf itself names resolved alone then.
# Source: systemd-resolved.service(8), "/etc/resolv.conf"
LEARNED = Path("/run/systemd/resolve/resolv.conf")
CONFIGURED = Path("/etc/resolv.conf")
# resolv.conf(5) knows three; resolved writes more, and says so.
MOST = 8


def own_resolvers(own: str, configured: Path = CONFIGURED, learned: Path = LEARNED) -> tuple[str, ...]:
    """The addresses of the node's name servers in their order, without this machine's own: `own` is the cluster's DNS.
    Empty where it has none."""
    for path in (configured, learned):
        found = [server for server in name_servers(path) if server != own and not ip_address(server).is_loopback]
        if found:
            return tuple(dict.fromkeys(found))[:MOST]
    return ()


def name_servers(path: Path) -> Iterator[str]:
    """The addresses in a resolv.conf(5); those of a link (fe80::1%eth0) are left out. None where it is not there."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                address = ip_address(words[1])
            except ValueError:
                continue
            if not address.is_link_local:
                yield str(address)
