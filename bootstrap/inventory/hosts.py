"""Addresses, networks and host names of an inventory. Everything in a cluster is IPv4.

Each check returns the value as it is used, or raises what `bootstrap.inventory.values.wrong` makes.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, ip_address

from bootstrap.inventory.text import shown
from bootstrap.inventory.values import DNS_LABEL, DNS_NAME, LONGEST_DNS_NAME, line, wrong

AN_ADDRESS = "an IPv4 address, as in 192.0.2.11"
A_CARD_ADDRESS = "an address with the length of its network's prefix, as in 192.0.2.11/24"
A_NETWORK = "an IPv4 network, as in 10.244.0.0/16"
A_HOST = "a host name or an IPv4 address"
NOT_IPV6 = "this is IPv6, and in a cluster nodes, pods and services have IPv4 addresses alone"
# What editors check as somebody types.
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
PREFIX = "/(3[0-2]|[12]?[0-9])"
# https://www.iana.org/assignments/iana-ipv4-special-registry: where no host of a network is.
_NOWHERE = {
    "the addresses of no host": IPv4Network("0.0.0.0/8"),
    "the loopback addresses": IPv4Network("127.0.0.0/8"),
    "the multicast addresses": IPv4Network("224.0.0.0/4"),
    "the reserved addresses": IPv4Network("240.0.0.0/4"),
}
_LINK_LOCAL = IPv4Network("169.254.0.0/16")
_SSH_HOST = r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?"


def address(value: object) -> IPv4Address:
    """An address of a host that others reach."""
    return _somewhere(_address(value, AN_ADDRESS), AN_ADDRESS)


def node_address(value: object) -> IPv4Address:
    """An address of a node: a kubelet takes none that leads no further than a link."""
    found = address(value)
    if found.is_link_local:
        raise wrong(f"it is one of the link-local addresses ({_LINK_LOCAL})", AN_ADDRESS)
    return found


def card_address(value: object) -> IPv4Interface:
    """An address of a card, with the length of its network's prefix."""
    if isinstance(value, IPv4Interface):
        found = value
    else:
        host, slash, length = _text(value, A_CARD_ADDRESS).partition("/")
        _address(host, A_CARD_ADDRESS)
        if not slash or not re.fullmatch("[0-9]{1,2}", length) or not 1 <= int(length) <= 32:
            raise wrong("it has no prefix length from 1 to 32", A_CARD_ADDRESS)
        found = IPv4Interface(f"{_address(host, A_CARD_ADDRESS)}/{int(length)}")
    _somewhere(found.ip, A_CARD_ADDRESS)
    if not is_host_in(found.ip, found.network):
        raise wrong(f"it is an address of {found.network} itself, not of a host in it", A_CARD_ADDRESS)
    return found


def is_host_in(host: IPv4Address, network: IPv4Network) -> bool:
    """Whether a host may have the address in the network: its first and last address are its own (RFC 3021 has none of
    these in a /31)."""
    return network.prefixlen >= 31 or host not in (network.network_address, network.broadcast_address)


def network(value: object) -> IPv4Network:
    """A network of a cluster's own."""
    if isinstance(value, IPv4Network):
        return value
    host, slash, length = _text(value, A_NETWORK).partition("/")
    _address(host, A_NETWORK)
    if not slash or not re.fullmatch("[0-9]{1,2}", length) or int(length) > 32:
        raise wrong("it has no prefix length from 0 to 32", A_NETWORK)
    found = IPv4Network(f"{host}/{int(length)}", strict=False)
    if str(found.network_address) != host:
        raise wrong("it has host bits set", A_NETWORK, str(found))
    for name, nowhere in {**_NOWHERE, "the link-local addresses": _LINK_LOCAL}.items():
        if found.overlaps(nowhere):
            raise wrong(f"{name} ({nowhere}) are in it", A_NETWORK)
    return found


def routed_network(value: object) -> IPv4Network:
    """A network that a card's route leads to."""
    if value == "0.0.0.0/0":
        raise wrong("it is the default route, which the card's gateway says", A_NETWORK)
    return network(value)


def endpoint(text: str) -> str:
    """host or host:port, as `bootstrap.spec.topology.endpoint_of` takes it apart."""
    allowed = f"{A_HOST}, perhaps with a port, as in api.example.org:6443"
    if "://" in line(text):
        rest = re.sub(r"^[^/]*://|/.*$", "", text)
        raise wrong("it has a scheme", allowed, rest if _is_place(rest) else "")
    host, colon, number = text.partition(":")
    if colon and (not re.fullmatch("[1-9][0-9]{0,4}", number) or int(number) > 65535):
        raise wrong(NOT_IPV6 if ":" in number else "its port is not one from 1 to 65535", allowed)
    _host(host, allowed)
    return text


def certificate_name(text: str) -> str:
    """A name or an address for a certificate, as it is read back out of one."""
    allowed = f"{A_HOST} without scheme, port and blanks, as in api.example.org, or an IPv6 address"
    # A wildcard stands for one part: RFC 6125, section 6.4.3.
    return _ipv6(text, allowed) or _named(text, text.removeprefix("*."), allowed)


def time_server(text: str) -> str:
    """A time server."""
    allowed = f"{A_HOST}, as in ntp.example.org"
    return _ipv6(text, allowed) or _named(text, text, allowed)


def _ipv6(text: str, allowed: str) -> str:
    """The IPv6 address that the text is, as it is written usually; empty where it has no colon."""
    if ":" not in line(text):
        return ""
    try:
        return str(IPv6Address(text)) if "%" not in text else _refuse(allowed)
    except ValueError:
        raise wrong("", allowed) from None


def _named(text: str, host: str, allowed: str) -> str:
    """The text, whose host is a name or an IPv4 address."""
    _host(host, allowed)
    return text


def ssh_host(text: str) -> str:
    """A host as ssh takes it: a name, an alias of ~/.ssh/config or an address."""
    allowed = "a host name or an address, as in 192.0.2.11; user and port stand in `user` and `port`"
    if re.fullmatch(_SSH_HOST, line(text)):
        return text
    try:
        return str(ip_address(text)) if "%" not in text else _refuse(allowed)
    except ValueError:
        raise wrong("", allowed) from None


def _refuse(allowed: str) -> str:
    raise wrong("", allowed)


def _text(value: object, allowed: str) -> str:
    if isinstance(value, str):
        return line(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
        raise wrong("it is a number", allowed, str(IPv4Address(value)))
    raise wrong("", allowed)


def _address(value: object, allowed: str) -> IPv4Address:
    if isinstance(value, IPv4Address):
        return value
    text = _text(value, allowed)
    try:
        return IPv4Address(text)
    except ValueError:
        pass
    try:
        IPv6Address(text)
    except ValueError:
        raise wrong("", allowed) from None
    raise wrong(NOT_IPV6, allowed)


def _somewhere(found: IPv4Address, allowed: str) -> IPv4Address:
    for name, nowhere in _NOWHERE.items():
        if found in nowhere:
            raise wrong(f"it is one of {name} ({nowhere})", allowed)
    return found


def _is_place(text: str) -> bool:
    host, colon, number = text.partition(":")
    return bool(re.fullmatch(DNS_NAME, host)) and (not colon or bool(re.fullmatch("[1-9][0-9]{0,4}", number)))


def _host(text: str, allowed: str) -> None:
    """Raise where it is neither an IPv4 address that something answers at nor a name of DNS."""
    last = text.rpartition(".")[2]
    if last.isdecimal() or re.fullmatch("0x[0-9a-f]*", last):
        try:
            found = IPv4Address(text)
        except ValueError:
            raise wrong("it is neither a name nor an IPv4 address", allowed) from None
        if found.is_unspecified or found.is_multicast or found.is_reserved:
            raise wrong("nothing answers at that address", allowed)
    elif len(text) > LONGEST_DNS_NAME or not re.fullmatch(rf"(?i:{DNS_LABEL}(\.{DNS_LABEL})*)", text):
        raise wrong("" if text else f"{shown(text)} is not a host", allowed)
