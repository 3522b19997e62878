"""What is read out of an X.509 certificate without a library: its pin, and how long it is valid (RFC 5280)."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime

from bootstrap.protocol.der import SEQUENCE, element, only

UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
_VERSION = 0xA0
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


def certificates_in(text: str) -> list[bytes]:
    """The certificates (DER) in PEM. Raises ValueError where the base64 of one is none."""
    return [base64.b64decode("".join(found.split()), validate=True) for found in _PEM.findall(text)]


def as_pem(der: bytes) -> str:
    """A certificate as PEM, in lines of 64."""
    text = base64.b64encode(der).decode()
    lines = "".join(f"{text[start : start + 64]}\n" for start in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"


def pin_of(der: bytes) -> str:
    """What a joining node knows an authority by: "sha256:" and the SHA-256 of its SubjectPublicKeyInfo, 64 hexadecimal
    digits; kubeadm's --discovery-token-ca-cert-hash (RFC 7469, section 2.4). Raises ValueError."""
    tbs, position = _after(der, 5)
    _, _, end = element(tbs, position)
    return f"sha256:{hashlib.sha256(tbs[position:end]).hexdigest()}"


def validity_of(der: bytes) -> tuple[datetime, datetime]:
    """From when to when it is valid. Raises ValueError."""
    tbs, position = _after(der, 3)
    kind, content, _ = element(tbs, position)
    if kind != SEQUENCE:
        raise ValueError("it does not say how long it is valid")
    first, begins, after = element(content, 0)
    second, ends, _ = element(content, after)
    return _time(first, begins), _time(second, ends)


def _after(der: bytes, count: int) -> tuple[bytes, int]:
    """The signed part, and where in it the field begins that comes `count` fields after the version: serial number,
    signature algorithm, issuer, validity, subject, public key."""
    tbs = element(only(der, SEQUENCE), 0)[1]
    # The version stands there from X.509 v2 on.
    position = element(tbs, 0)[2] if tbs[:1] == bytes([_VERSION]) else 0
    for _ in range(count):
        position = element(tbs, position)[2]
    return tbs, position


def _time(kind: int, content: bytes) -> datetime:
    """A time of a certificate: two digits of the year are 1950 to 2049. Source: RFC 5280, section 4.1.2.5."""
    text = content.decode("ascii")
    if kind == UTC_TIME and len(text) == 13:
        text = ("19" if text[0] >= "5" else "20") + text
    elif kind != GENERALIZED_TIME or len(text) != 15:
        raise ValueError("it has a time that can't be read")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
