"""Certificates as kubeadm makes them, on P-256: authorities, leaves, and what is read back out of them.

Source: https://kubernetes.io/docs/setup/best-practices/certificates/
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

# A node whose clock is a little behind must not refuse a certificate that was made just now.
BACKDATED = timedelta(hours=1)
# The public halves (PEM) of private keys by the SHA-256 of these (PEM), which are not kept longer for it.
_PUBLIC_HALVES: dict[bytes, bytes] = {}
MOST_HALVES = 1024


class Usage(Enum):
    """What a leaf certificate may be used for. A peer is both ends at once, as an etcd member is."""

    SERVER = "server"
    CLIENT = "client"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM. The key never shows in a representation."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)


def new_authority(common_name: str, *, years: int = 10) -> KeyPair:
    """A self-signed certificate authority, valid for `years` years."""
    key = new_key()
    return KeyPair(self_signed(common_name, key, years=years), key)


def self_signed(common_name: str, key_pem: bytes, *, years: int = 10) -> bytes:
    """The certificate (PEM) of an authority with that key, valid for `years` years."""
    from cryptography import x509

    key = _private_key(key_pem)
    name = _name(common_name, ())
    builder = _builder(name, name, key, timedelta(days=365 * years)).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    return _signed(builder.add_extension(_key_usage(authority=True), critical=True), key)


def issue(
    authority: KeyPair,
    key_pem: bytes | None = None,
    *,
    common_name: str,
    usage: Usage,
    organizations: Sequence[str] = (),
    hosts: Sequence[str] = (),
    valid: timedelta = timedelta(days=365),
) -> KeyPair:
    """A certificate signed by `authority`, for the key `key_pem` or a new one. `hosts` are the names and IP addresses
    it is valid for, `organizations` the groups that Kubernetes reads out of it; it is good for the time `valid`
    from now on."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer = x509.load_pem_x509_certificate(authority.cert_pem)
    key_pem = key_pem or new_key()
    key = _private_key(key_pem)
    purposes = {
        Usage.SERVER: [ExtendedKeyUsageOID.SERVER_AUTH],
        Usage.CLIENT: [ExtendedKeyUsageOID.CLIENT_AUTH],
        Usage.PEER: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    }
    builder = (
        _builder(_name(common_name, organizations), signer.subject, key, valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes[usage]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
    )
    if hosts:
        names = [_general_name(host) for host in hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return KeyPair(_signed(builder, _private_key(authority.key_pem)), key_pem)


def expires(cert_pem: bytes) -> datetime:
    """When a certificate ends, in UTC."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(cert_pem).not_valid_after_utc


def hosts_of(cert_pem: bytes) -> frozenset[str]:
    """The names and addresses a certificate is valid for."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(cert_pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value) for name in names)


def signed_by(cert_pem: bytes, authority_pem: bytes) -> bool:
    """Whether the authority's key signed the certificate."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    certificate = x509.load_pem_x509_certificate(cert_pem)
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority_pem))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def new_key() -> bytes:
    """A new private key on P-256 (PEM, PKCS #8)."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_service_account_key() -> bytes:
    """A new private key (PEM) with which service account tokens are signed: RSA 2048, as kubeadm's."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def public_half(key_pem: bytes) -> bytes:
    """The public key (PEM) of a private one. Raises ValueError where that is none."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    # Reading a key proves it first, which takes milliseconds, and a command looks at each of its keys many times.
    known_by = hashlib.sha256(key_pem).digest()
    half = _PUBLIC_HALVES.get(known_by)
    if half is None:
        key = load_pem_private_key(key_pem, None).public_key()
        half = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if len(_PUBLIC_HALVES) >= MOST_HALVES:
            _PUBLIC_HALVES.clear()
        _PUBLIC_HALVES[known_by] = half
    return half


def is_private_key(pem: bytes) -> bool:
    """Whether it is a whole private key without a passphrase."""
    try:
        public_half(pem)
    except (ValueError, TypeError):
        return False
    return True


def is_certificate(pem: bytes) -> bool:
    """Whether it is a whole certificate."""
    from cryptography import x509

    try:
        x509.load_pem_x509_certificate(pem)
    except ValueError:
        return False
    return True


def belong_together(pair: KeyPair) -> bool:
    """Whether the certificate is for the key. Raises ValueError where one of them can't be read."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    certified = x509.load_pem_x509_certificate(pair.cert_pem).public_key()
    return certified.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) == public_half(pair.key_pem)


def _private_key(pem: bytes) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem, None)  # type: ignore[return-value]


def _name(common_name: str, organizations: Sequence[str]) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, valid: timedelta
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, signing_key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    return builder.sign(signing_key, hashes.SHA256()).public_bytes(Encoding.PEM)
