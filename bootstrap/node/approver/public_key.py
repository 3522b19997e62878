"""Whether a public key is of a kind that certificates are signed for: read strictly, as the rest of a request.

Source: RFC 5480 (elliptic curves), RFC 8017 (RSA), RFC 8410 (Ed25519).
"""

from __future__ import annotations

from bootstrap.protocol.der import BIT_STRING, INTEGER, OID, SEQUENCE, all_of, only, parts

NULL = 0x05
RSA, CURVES, ED25519 = (bytes.fromhex(identifier) for identifier in ("2a864886f70d010101", "2a8648ce3d0201", "2b6570"))
# P-256, P-384 and P-521: how many bytes each of a point's two numbers has.
CURVE_BYTES = {
    bytes.fromhex("2a8648ce3d030107"): 32,
    bytes.fromhex("2b81040022"): 48,
    bytes.fromhex("2b81040023"): 66,
}
RSA_BITS = (2048, 8192)
POINT = 0x04


def check_key(content: bytes) -> None:
    """Raise ValueError where the content of a SubjectPublicKeyInfo is not an elliptic curve's, RSA or Ed25519 key of a
    size that a kubelet has."""
    algorithm, bits = parts(content, SEQUENCE, BIT_STRING)
    if bits[:1] != b"\x00":
        raise ValueError("it has a key that is not a whole number of bytes")
    described = all_of(algorithm)
    if not described or not _is_known(described[0], described[1:], bits[1:]):
        raise ValueError("it has a key of a kind or size that no kubelet has")


def _is_known(kind: tuple[int, bytes], settings: list[tuple[int, bytes]], key: bytes) -> bool:
    if kind == (OID, ED25519):
        return not settings and len(key) == 32
    if kind == (OID, RSA):
        modulus, _ = parts(only(key, SEQUENCE), INTEGER, INTEGER)
        return settings == [(NULL, b"")] and RSA_BITS[0] <= int.from_bytes(modulus, "big").bit_length() <= RSA_BITS[1]
    if kind != (OID, CURVES) or len(settings) != 1:
        return False
    numbers = CURVE_BYTES.get(settings[0][1]) if settings[0][0] == OID else None
    return numbers is not None and key[:1] == bytes([POINT]) and len(key) == 1 + 2 * numbers
