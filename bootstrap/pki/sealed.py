"""What only the holder of a token can read: compressed, then encrypted under a key that the token's secret gives.

The API server keeps the secrets of tokens, so that whoever reads all of its Secrets reads this too; what is kept out is
everybody who may read this one object, a copy of it, or a backup without the token. A token's secret is 16 of 36
letters, 82 bits: no one guesses it, and no slow hash has to make that harder.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from bootstrap.errors import ClusterupError
from bootstrap.protocol.token import Token

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# The first byte of what is sealed; another one says that it is sealed in another way.
FORMAT = b"\x01"
INFO = b"clusterup server join"
NONCE_BYTES = 12
# No cluster comes near to it; what claims to unpack to more is not ours.
LARGEST = 64 << 20


def seal(content: bytes, token: Token) -> bytes:
    """`content` for the holder of `token` alone, each time other bytes: a format byte, a nonce of 12 bytes, and
    AES-256-GCM over what zlib makes of it."""
    nonce = os.urandom(NONCE_BYTES)
    return FORMAT + nonce + _cipher(token).encrypt(nonce, zlib.compress(content, 9), FORMAT)


def unseal(sealed: bytes, token: Token) -> bytes:
    """What `seal` was given. Raises ClusterupError where it was sealed for another token, was changed, or is none."""
    from cryptography.exceptions import InvalidTag

    kind, nonce, encrypted = sealed[:1], sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    if kind != FORMAT or len(nonce) != NONCE_BYTES:
        raise _unusable("it has a format that this clusterup does not know")
    try:
        packed = _cipher(token).decrypt(nonce, encrypted, FORMAT)
    except InvalidTag:
        raise _unusable("it was sealed for another token, or somebody changed it") from None
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(packed, LARGEST)
    except zlib.error:
        raise _unusable("it can't be unpacked") from None
    if not unpacking.eof or unpacking.unused_data:
        raise _unusable("it is cut off, or far too large")
    return content


def _cipher(token: Token) -> AESGCM:
    """AES-256-GCM under HKDF-SHA256 of the token's secret, with its id as the salt (RFC 5869)."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derivation = HKDF(algorithm=SHA256(), length=32, salt=token.id.encode(), info=INFO)
    return AESGCM(derivation.derive(token.secret.encode()))


def _unusable(got: str) -> ClusterupError:
    return ClusterupError(
        "what the cluster keeps for this token can't be read",
        step="token",
        tried="unseal it with the token",
        got=got,
        hint="make another token (`clusterup token create --role server`), with the version of clusterup used here",
    )
