"""What is read out of certificates without a library is what the library reads."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as some

from bootstrap.pki.x509 import new_authority
from bootstrap.protocol.certificate import as_pem, certificates_in, pin_of, validity_of

KEYS: list[CertificateIssuerPrivateKeyTypes] = [
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    rsa.generate_private_key(public_exponent=65537, key_size=2048),
]
MOMENTS = some.datetimes(datetime(1951, 1, 1), datetime(2200, 1, 1)).map(lambda at: at.replace(microsecond=0))


def certificate(key: CertificateIssuerPrivateKeyTypes, begins: datetime, ends: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
    return made.sign(key, hashes.SHA256())


@given(key=some.sampled_from(KEYS), begins=MOMENTS, days=some.integers(1, 40_000))
def test_a_certificate_is_valid_from_when_to_when_the_library_says(
    key: CertificateIssuerPrivateKeyTypes, begins: datetime, days: int
) -> None:
    made = certificate(key, begins, begins + timedelta(days=days))
    der = made.public_bytes(Encoding.DER)
    assert validity_of(der) == (made.not_valid_before_utc, made.not_valid_after_utc)


@pytest.mark.parametrize("key", KEYS, ids=["p256", "p384", "rsa"])
def test_a_pin_is_the_hash_of_the_public_key(key: CertificateIssuerPrivateKeyTypes) -> None:
    made = certificate(key, datetime(2024, 1, 1, tzinfo=UTC), datetime(2034, 1, 1, tzinfo=UTC))
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert pin_of(made.public_bytes(Encoding.DER)) == f"sha256:{hashlib.sha256(public).hexdigest()}"


def test_certificates_in_pem_come_out_and_go_back() -> None:
    pem = new_authority("kubernetes").cert_pem.decode()
    (der,) = certificates_in(pem)
    assert as_pem(der) == pem
    assert certificates_in(f"{pem}nothing\n{pem}") == [der, der]


@given(some.binary(max_size=300))
def test_what_is_not_a_certificate_is_a_value_error(garbage: bytes) -> None:
    for reads in (pin_of, validity_of):
        with pytest.raises(ValueError, match=r"."):
            reads(garbage)
