"""What only the holder of a token can read."""

from __future__ import annotations

import hashlib
import hmac
import zlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.errors import ClusterupError
from bootstrap.pki import sealed
from bootstrap.pki.sealed import seal, unseal
from bootstrap.protocol.token import Token

TOKEN = Token("abcdef", "0123456789abcdef")


def key(token: Token) -> bytes:
    """HKDF-SHA256 as RFC 5869 writes it down."""
    extracted = hmac.digest(token.id.encode(), token.secret.encode(), hashlib.sha256)
    return hmac.digest(extracted, b"clusterup server join\x01", hashlib.sha256)


@settings(deadline=None)
@given(st.binary())
def test_the_holder_of_the_token_reads_what_was_sealed(content: bytes) -> None:
    assert unseal(seal(content, TOKEN), TOKEN) == content


def test_it_is_aes_gcm_over_zlib_under_a_key_of_the_token_s() -> None:
    made = seal(b"the keys", TOKEN)
    assert zlib.decompress(AESGCM(key(TOKEN)).decrypt(made[1:13], made[13:], b"\x01")) == b"the keys"


def test_what_repeats_itself_becomes_small_and_is_never_the_same_twice() -> None:
    content = b"-----BEGIN CERTIFICATE-----\n" * 1000
    one, other = seal(content, TOKEN), seal(content, TOKEN)
    assert one != other
    assert len(one) < 1000


@pytest.mark.parametrize("token", [Token("abcdef", "0123456789abcdeg"), Token("abcdeg", "0123456789abcdef")])
def test_another_token_does_not_open_it(token: Token) -> None:
    with pytest.raises(ClusterupError, match="can't be read") as refused:
        unseal(seal(b"the keys", TOKEN), token)
    assert "another token" in str(refused.value)
    assert token.secret not in str(refused.value)


def test_whatever_is_changed_or_cut_off_is_noticed() -> None:
    made = seal(b"the keys", TOKEN)
    for index in range(len(made)):
        changed = bytearray(made)
        changed[index] ^= 1
        for broken in (bytes(changed), made[:index]):
            with pytest.raises(ClusterupError):
                unseal(broken, TOKEN)


def test_what_would_unpack_to_more_than_any_cluster_has_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "LARGEST", 1000)
    assert unseal(seal(b"0" * 1000, TOKEN), TOKEN) == b"0" * 1000
    with pytest.raises(ClusterupError, match="can't be read") as refused:
        unseal(seal(b"0" * 1001, TOKEN), TOKEN)
    assert "far too large" in str(refused.value)


@pytest.mark.parametrize("packed", [b"", b"no zlib", zlib.compress(b"a") + b"more"])
def test_what_was_sealed_by_something_else_is_refused_in_words(packed: bytes) -> None:
    with pytest.raises(ClusterupError, match="can't be read"):
        unseal(b"\x01" + b"n" * 12 + AESGCM(key(TOKEN)).encrypt(b"n" * 12, packed, b"\x01"), TOKEN)
