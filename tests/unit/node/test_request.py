"""The reader of certificate requests: what a kubelet asks for is read as others read it, and all else is refused."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.node.approver.request import COMMON_NAME, LONGEST, ORGANIZATION, node_of, read_request

KEY = ec.generate_private_key(ec.SECP256R1())
Attributes = Sequence[tuple[x509.ObjectIdentifier, str]]
NODES = (NameOID.ORGANIZATION_NAME, "system:nodes")


def node(name: str) -> tuple[x509.ObjectIdentifier, str]:
    return NameOID.COMMON_NAME, f"system:node:{name}"


def relative(attributes: Attributes) -> x509.RelativeDistinguishedName:
    return x509.RelativeDistinguishedName([x509.NameAttribute(kind, text) for kind, text in attributes])


def request(*attributes: tuple[x509.ObjectIdentifier, str], key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    """What cryptography makes, with each attribute in a set of its own, as Go and a kubelet do it."""
    return named(x509.Name([relative([attribute]) for attribute in attributes]), key)


def named(name: x509.Name, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY) -> bytes:
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def pem(der: bytes) -> bytes:
    text = base64.encodebytes(der).replace(b"\n", b"")
    lines = b"\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + lines + b"\n-----END CERTIFICATE REQUEST-----\n"


def der(content: bytes) -> bytes:
    return x509.load_pem_x509_csr(content).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("name", ["a1", "worker-7.example", "0", "a" * 52])
def test_a_kubelet_s_request_names_its_node(name: str) -> None:
    assert node_of(request(NODES, node(name))) == name
    assert node_of(request(node(name), NODES)) == name


def test_the_kind_of_key_does_not_matter() -> None:
    name = x509.Name([relative([NODES]), relative([node("a1")])])
    assert node_of(named(name, rsa.generate_private_key(65537, 2048))) == "a1"


def test_what_is_read_is_what_cryptography_wrote() -> None:
    content = request(NODES, node("a1"), (NameOID.COUNTRY_NAME, "DE"), (NameOID.LOCALITY_NAME, "Köln"))
    subject = read_request(content).subject
    assert subject[:2] == ((ORGANIZATION, "system:nodes"), (COMMON_NAME, "system:node:a1"))
    assert [text for _, text in subject] == ["system:nodes", "system:node:a1", "DE", "Köln"]


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ((), "one organization and one common name"),
        ((NODES,), "one organization and one common name"),
        ((node("a1"),), "one organization and one common name"),
        ((NODES, node("a1"), node("a2")), "one organization and one common name"),
        ((NODES, NODES, node("a1")), "one organization and one common name"),
        ((NODES, node("a1"), (NameOID.COUNTRY_NAME, "DE")), "one organization and one common name"),
        (((NameOID.ORGANIZATION_NAME, "system:masters"), node("a1")), "'system:masters', not system:nodes"),
        ((NODES, (NameOID.COMMON_NAME, "kubernetes-admin")), "'kubernetes-admin', not system:node:"),
        ((NODES, node("system:node:a1")), "a node's name"),
        ((NODES, (NameOID.COMMON_NAME, "system:node:")), "a node's name"),
        ((NODES, node("A1")), "a node's name"),
        ((NODES, node("a1\n")), "a node's name"),
        ((NODES, node("../a1")), "a node's name"),
        ((NODES, node("-a1")), "a node's name"),
    ],
)
def test_every_other_subject_is_refused_with_what_it_is(attributes: Attributes, why: str) -> None:
    with pytest.raises(ValueError, match=r"subject|organization|common name") as refused:
        node_of(request(*attributes))
    assert why in str(refused.value)


def test_two_names_in_one_set_are_refused() -> None:
    with pytest.raises(ValueError, match="other parts than it should have"):
        node_of(named(x509.Name([relative([NODES, node("a1")])])))


KUBELET_S = x509.Name([relative([NODES]), relative([node("a1")])])
Builder = x509.CertificateSigningRequestBuilder
OTHER_NAMES = [
    x509.DNSName("kubernetes.default.svc"),
    x509.IPAddress(ipaddress.ip_address("10.96.0.1")),
    x509.RFC822Name("root@example.org"),
    x509.UniformResourceIdentifier("spiffe://example.org/admin"),
    x509.DirectoryName(x509.Name([relative([(NameOID.ORGANIZATION_NAME, "system:masters")])])),
]


def asking_for(*extensions: x509.ExtensionType) -> bytes:
    """A kubelet's request that asks for extensions as well."""
    made = Builder().subject_name(KUBELET_S)
    for extension in extensions:
        made = made.add_extension(extension, critical=False)
    return made.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("name", OTHER_NAMES, ids=lambda name: type(name).__name__)
def test_a_request_for_other_names_is_none_of_a_kubelet_s(name: x509.GeneralName) -> None:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    for extensions in ([x509.SubjectAlternativeName([name])], [usage, x509.SubjectAlternativeName([name])]):
        with pytest.raises(ValueError, match=r"it asks for other names \(a subjectAltName\), and a kubelet asks"):
            node_of(asking_for(*extensions))


def test_nor_is_one_for_any_other_extension_or_attribute() -> None:
    with pytest.raises(ValueError, match=r"it asks for the extension 2\.5\.29\.19, "):
        node_of(asking_for(x509.BasicConstraints(ca=True, path_length=None)))
    challenge = Builder().subject_name(KUBELET_S).add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"secret")
    with pytest.raises(ValueError, match=r"it asks for the attribute 1\.2\.840\.113549\.1\.9\.7, "):
        node_of(challenge.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize("attributes", [b"\x00", b"\x30\x00", b"\x30\x02\x06\x00", b"\x30\x0d\x06\x09" + b"\x80" * 9])
def test_what_is_asked_for_and_can_t_be_read_is_refused_all_the_same(attributes: bytes) -> None:
    good = der(request(NODES, node("a1")))
    # The empty attributes stand before the signature; both lengths around them grow.
    head, _, tail = good.partition(b"\xa0\x00")
    info = head[head.index(b"\x30", 2) :]
    info = wrapped(0x30, info[_header(info) :] + wrapped(0xA0, attributes))
    with pytest.raises(ValueError, match=r"asks for something that can't be read|asks for the attribute|it is cut off"):
        node_of(pem(wrapped(0x30, info + tail)))


def wrapped(kind: int, content: bytes) -> bytes:
    """One element of DER."""
    size = len(content).to_bytes(2, "big")
    length = size[1:] if size < b"\x00\x80" else b"\x81" + size[1:] if size < b"\x01" else b"\x82" + size
    return bytes([kind]) + length + content


def _header(element: bytes) -> int:
    return 2 if element[1] < 0x80 else 2 + (element[1] & 0x7F)


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey


def keyed(key: Key) -> bytes:
    """A kubelet's request for another key."""
    signs = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Builder().subject_name(KUBELET_S).sign(key, signs).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["P-384", "P-521", "RSA", "Ed25519"],
)
def test_keys_that_certificates_are_signed_for_are_read(key: Key) -> None:
    assert node_of(keyed(key)) == "a1"


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP256K1()), rsa.generate_private_key(65537, 1024), dsa.generate_private_key(1024)],
    ids=["another curve", "too small", "another kind"],
)
def test_other_keys_are_refused(key: Key) -> None:
    with pytest.raises(ValueError, match="a key of a kind or size that no kubelet has"):
        node_of(keyed(key))


def test_what_is_far_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match=f"and a kubelet's has {LONGEST} at most"):
        node_of(request(NODES, node("a1")) + b"\n" * LONGEST)


@pytest.mark.parametrize(
    "change",
    [
        lambda good: b"",
        lambda good: good.decode().replace("CERTIFICATE REQUEST", "CERTIFICATE").encode(),
        lambda good: b"x" + good,
        lambda good: good + good,
        lambda good: good.replace(b"-----\n", b"-----\nProc-Type: 4\n\n", 1),
        lambda good: pem(der(good) + b"\x00"),
        lambda good: pem(der(good)[:-1]),
        lambda good: pem(b""),
        lambda good: pem(b"\x30\x80" + der(good)[4:] + b"\x00\x00"),
        lambda good: pem(b"\x30\x83\x00" + der(good)[2:]),
    ],
)
def test_what_is_not_exactly_one_request_is_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match=r"it is|it has|a length"):
        node_of(change(request(NODES, node("a1"))))


@settings(deadline=None, max_examples=500)
@given(st.data())
def test_no_changed_byte_makes_another_name_than_others_read(data: st.DataObject) -> None:
    good = bytearray(der(request(NODES, node("a1"))))
    # The subject is in the first hundred bytes.
    good[data.draw(st.integers(0, 99))] = data.draw(st.integers(0, 255))
    try:
        read = node_of(pem(bytes(good)))
        # What can't be read at all is signed by no one.
        theirs = x509.load_der_x509_csr(bytes(good)).subject
    except ValueError:
        return
    (common_name,) = theirs.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == f"system:node:{read}"


ASKS_FOR_MORE = der(asking_for(x509.SubjectAlternativeName([x509.DNSName("kubernetes")])))


@settings(deadline=None, max_examples=500)
@given(st.integers(0, len(ASKS_FOR_MORE) - 1), st.integers(0, 255))
def test_no_changed_byte_hides_that_more_is_asked_for_than_a_name(place: int, byte: int) -> None:
    changed = bytearray(ASKS_FOR_MORE)
    changed[place] = byte
    with pytest.raises(ValueError, match=r"."):
        node_of(pem(bytes(changed)))


@given(st.binary(max_size=200))
def test_whatever_comes_it_ends_in_a_name_or_a_refusal(content: bytes) -> None:
    for given_ in (content, pem(content)):
        with pytest.raises(ValueError, match=r"."):
            node_of(given_)
