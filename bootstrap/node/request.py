"""What a certificate signing request asks for: its subject, read strictly out of PEM and DER.

Whatever is written in more than one way is refused in all but one: who signs the request reads it with another
parser, and both have to see the same name.
Source: RFC 2986 (the request), RFC 5280 (names), X.690 (DER).
"""

from __future__ import annotations

import base64
import binascii
import re

from der import element

COMMON_NAME, ORGANIZATION = bytes.fromhex("550403"), bytes.fromhex("55040a")
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE REQUEST-----\n([A-Za-z0-9+/=\n]+)\n-----END CERTIFICATE REQUEST-----\n?", re.ASCII
)
# What a Node may be called (RFC 1123's subdomains).
_NODE_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)
INTEGER, BIT_STRING, OID, UTF8, SEQUENCE, PRINTABLE, SET, ATTRIBUTES = 0x02, 0x03, 0x06, 0x0C, 0x30, 0x13, 0x31, 0xA0


def node_of(pem: bytes) -> str:
    """The name of the node whose kubelet asks for a client certificate: the subject is O=system:nodes and
    CN=system:node:NAME, and nothing else. Raises ValueError that says what it is instead."""
    subject = subject_of(pem)
    if sorted(kind for kind, _ in subject) != [COMMON_NAME, ORGANIZATION]:
        raise ValueError("its subject is not one organization and one common name")
    names = dict(subject)
    if names[ORGANIZATION] != NODES:
        raise ValueError(f"its organization is {names[ORGANIZATION][:80]!r}, not {NODES}")
    name = names[COMMON_NAME].removeprefix(NODE_PREFIX)
    if not names[COMMON_NAME].startswith(NODE_PREFIX) or not _NODE_NAME.fullmatch(name):
        raise ValueError(f"its common name is {names[COMMON_NAME][:80]!r}, not {NODE_PREFIX} and a node's name")
    return name


def subject_of(pem: bytes) -> tuple[tuple[bytes, str], ...]:
    """The attributes of the subject, in their order: the bytes of the object identifier, and the text.

    Raises ValueError for whatever is not exactly one request in PEM.
    """
    found = _PEM.fullmatch(pem)
    if found is None:
        raise ValueError("it is no certificate request in PEM")
    try:
        der = base64.b64decode(found[1].replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise ValueError("it is no base64") from None
    info, _, _ = _parts(_only(der, SEQUENCE), SEQUENCE, SEQUENCE, BIT_STRING)
    version, name, _, _ = _parts(info, INTEGER, SEQUENCE, SEQUENCE, ATTRIBUTES)
    if version != b"\x00":
        raise ValueError("it is no request of version 1")
    attributes = []
    for kind, relative in _all(name):
        if kind != SET:
            raise ValueError("its subject is no name")
        # A second value in one set would be a name that others may read in another order.
        identifier, value_kind, value = _attribute(_only(relative, SEQUENCE))
        attributes.append((identifier, _text(value_kind, value)))
    return tuple(attributes)


def _attribute(content: bytes) -> tuple[bytes, int, bytes]:
    (kind, identifier), (value_kind, value) = _exactly(content, 2)
    if kind != OID:
        raise ValueError("a part of its subject has no identifier")
    return identifier, value_kind, value


def _text(kind: int, value: bytes) -> str:
    if kind not in (UTF8, PRINTABLE):
        raise ValueError("its subject is written in letters of another kind than text")
    try:
        return value.decode("utf-8" if kind == UTF8 else "ascii")
    except UnicodeDecodeError:
        raise ValueError("its subject is no text") from None


def _only(data: bytes, kind: int) -> bytes:
    return _parts(data, kind)[0]


def _parts(data: bytes, *kinds: int) -> list[bytes]:
    """The contents of exactly these elements, one after the other."""
    found = _exactly(data, len(kinds))
    if [kind for kind, _ in found] != [*kinds]:
        raise ValueError("it is no certificate request")
    return [content for _, content in found]


def _exactly(data: bytes, count: int) -> list[tuple[int, bytes]]:
    found = _all(data)
    if len(found) != count:
        raise ValueError("it is no certificate request")
    return found


def _all(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element, to the last byte."""
    found, position = [], 0
    while position < len(data):
        kind, content, position = element(data, position)
        found.append((kind, content))
    return found
