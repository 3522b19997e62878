"""What a certificate signing request asks for: a subject and nothing else, read strictly out of PEM and DER.

Whatever is written in more than one way is refused in all but one: who signs the request reads it with another
parser, and both have to see the same name. The API server checked the signature when it took the request.
Source: RFC 2986 (the request), RFC 5280 (names, extensions), RFC 2985 (attributes), X.690 (DER).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from bootstrap.node.approver.public_key import check_key
from bootstrap.protocol.der import BIT_STRING, INTEGER, OID, SEQUENCE, all_of, oid_text, only, parts

COMMON_NAME, ORGANIZATION = bytes.fromhex("550403"), bytes.fromhex("55040a")
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
# A kubelet's request has about 500 bytes, one with a large RSA key 2000.
LONGEST = 16 * 1024
_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE REQUEST-----\n([A-Za-z0-9+/=\n]+)\n-----END CERTIFICATE REQUEST-----\n?", re.ASCII
)
# What a Node may be called (RFC 1123's subdomains).
_NODE_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)
UTF8, PRINTABLE, SET, ATTRIBUTES = 0x0C, 0x13, 0x31, 0xA0
# The attribute that asks for extensions, and the extension with other names than the subject's.
EXTENSION_REQUEST, OTHER_NAMES = bytes.fromhex("2a864886f70d01090e"), bytes.fromhex("551d11")


@dataclass(frozen=True)
class Request:
    """The subject's attributes, in their order (the bytes of the object identifier, and the text); the content of the
    public key, and that of whatever is asked for beside both, as DER has them."""

    subject: tuple[tuple[bytes, str], ...]
    key: bytes
    attributes: bytes


def node_of(pem: bytes) -> str:
    """The name of the node whose kubelet asks for a client certificate: the subject is O=system:nodes and
    CN=system:node:NAME, the key is of a kind that is signed, and nothing else is asked for. Raises ValueError that
    says what it is instead."""
    request = read_request(pem)
    if sorted(kind for kind, _ in request.subject) != [COMMON_NAME, ORGANIZATION]:
        raise ValueError("its subject is not one organization and one common name")
    names = dict(request.subject)
    if names[ORGANIZATION] != NODES:
        raise ValueError(f"its organization is {names[ORGANIZATION][:80]!r}, not {NODES}")
    name = names[COMMON_NAME].removeprefix(NODE_PREFIX)
    if not names[COMMON_NAME].startswith(NODE_PREFIX) or not _NODE_NAME.fullmatch(name):
        raise ValueError(f"its common name is {names[COMMON_NAME][:80]!r}, not {NODE_PREFIX} and a node's name")
    if request.attributes:
        raise ValueError(f"it asks for {_asked_beside(request.attributes)}, and a kubelet asks for its name alone")
    check_key(request.key)
    return name


def read_request(pem: bytes) -> Request:
    """What exactly one request in PEM says. Raises ValueError for anything else."""
    if len(pem) > LONGEST:
        raise ValueError(f"it has {len(pem)} bytes, and a kubelet's has {LONGEST} at most")
    found = _PEM.fullmatch(pem)
    if found is None:
        raise ValueError("it is not a certificate request in PEM")
    try:
        der = base64.b64decode(found[1].replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise ValueError("it is not base64") from None
    info, _, _ = parts(only(der, SEQUENCE), SEQUENCE, SEQUENCE, BIT_STRING)
    version, name, key, attributes = parts(info, INTEGER, SEQUENCE, SEQUENCE, ATTRIBUTES)
    if version != b"\x00":
        raise ValueError("it is not a request of version 1")
    return Request(_subject(name), key, attributes)


def _subject(name: bytes) -> tuple[tuple[bytes, str], ...]:
    attributes = []
    for kind, relative in all_of(name):
        if kind != SET:
            raise ValueError("its subject is not a name")
        # A second value in one set would be a name that others may read in another order.
        found = all_of(only(relative, SEQUENCE))
        if len(found) != 2 or found[0][0] != OID:
            raise ValueError("it has a part in its subject that is not one identifier and one value")
        attributes.append((found[0][1], _text(*found[1])))
    return tuple(attributes)


def _text(kind: int, value: bytes) -> str:
    if kind not in (UTF8, PRINTABLE):
        raise ValueError("its subject is written in letters of another kind than text")
    try:
        return value.decode("utf-8" if kind == UTF8 else "ascii")
    except UnicodeDecodeError:
        raise ValueError("its subject is not text") from None


def _asked_beside(attributes: bytes) -> str:
    """What is asked for beside the subject, in words: for whoever reads why the request was denied."""
    try:
        asked = [all_of(content) for _, content in all_of(attributes)]
        kinds = [identifier for (_, identifier), *_ in asked]
        if EXTENSION_REQUEST not in kinds:
            return f"the attribute {oid_text(kinds[0])}"
        (_, values) = asked[kinds.index(EXTENSION_REQUEST)][1]
        extensions = [all_of(content)[0][1] for _, content in all_of(only(values, SEQUENCE))]
        if OTHER_NAMES in extensions:
            return "other names (a subjectAltName)"
        return f"the extension {oid_text(extensions[0])}"
    except (ValueError, IndexError):
        return "something that can't be read"
