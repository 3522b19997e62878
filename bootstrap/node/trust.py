"""From a server's URL, a token and a pin to an authority that can be trusted, as kubeadm does it.

The cluster's description (cluster-info in kube-public) is asked for without believing anybody. It counts when it is
signed with the token, when an authority in it has the pinned key, and when it comes back the same over TLS that this
authority vouches for. The token is sent to nobody here.
Source: https://github.com/kubernetes/kubernetes/blob/v1.20.2/cmd/kubeadm/app/discovery/token/token.go
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from der import element
from exchange import TooSlow, asked
from outside import parsed_json
from trouble import Trouble

CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
API_PORT = 6443
# From connecting to the last byte: a small machine takes seconds for a handshake.
SECONDS = 45.0
LONGEST = 2 << 20
# The control plane signs the description for a new token a moment after the token was made.
SIGNED_SECONDS = 10.0
AGAIN_SECONDS = 1.0
# A kubelet's certificate begins as far before now, for clocks that are apart by that much.
APART_SECONDS = 300
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})", re.ASCII)
_PIN = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Token:
    """A bootstrap token in its two parts; only the first is for everybody's eyes."""

    id: str
    secret: str = field(repr=False)

    def reveal(self) -> str:
        """The whole of it."""
        return f"{self.id}.{self.secret}"


@dataclass(frozen=True)
class Server:
    """Where an API server is reached."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


def token_of(text: str) -> Token:
    """The token in `text`. Raises Trouble, which does not repeat what might be a secret."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None:
        raise Trouble(
            "this is no token: six and sixteen lower-case letters or digits with a dot between",
            hint="use one as `clusterup token create` printed it",
        )
    return Token(found[1], found[2])


def server_of(text: str) -> Server:
    """The server in "https://HOST:PORT", "HOST:PORT" or "HOST". Raises Trouble for anything else."""
    try:
        found = urlsplit(text if "://" in text else f"https://{text}")
        port = found.port or API_PORT
    except ValueError:
        found, port = urlsplit(""), 0
    bare = found.path in ("", "/") and not found.query and found.username is None
    if found.scheme != "https" or not found.hostname or not bare or not port:
        raise Trouble("the URL of the server is not understood", got=text, hint=f"as in: https://192.0.2.11:{API_PORT}")
    return Server(found.hostname, port)


def pins_of(given: Sequence[str]) -> frozenset[str]:
    """The pins. Raises Trouble where there is none, or where one is no pin."""
    pins = frozenset(pin.strip().lower() for pin in given)
    if not pins or any(_PIN.fullmatch(pin) is None for pin in pins):
        raise Trouble(
            "nothing says which cluster is meant" if not pins else "this is no pin of the cluster's authority",
            got=", ".join(sorted(pins)) or "no --ca-cert-hash",
            hint="`clusterup token create` prints it with the token: --ca-cert-hash sha256:... (64 digits)",
        )
    return pins


def discover(server: Server, token: Token, pins: frozenset[str], now: float) -> bytes:
    """The pinned authorities (PEM) of the cluster behind `server`, which is the one that was meant. `now` is this
    machine's time, seconds since 1970. Raises Trouble that says what is not so."""
    end = time.monotonic() + SIGNED_SECONDS
    while True:
        told = _description(server, _believing_anybody(), now)
        signature = told.get(f"jws-kubeconfig-{token.id}")
        if signature is not None or time.monotonic() >= end:
            break
        time.sleep(AGAIN_SECONDS)
    if signature is None:
        raise Trouble(
            "the cluster knows no such token: it never did, or it has expired, was revoked, or is used up",
            tried=f"look for the signature of token {token.id} on the description that {server} gives",
            got="none",
            hint="`clusterup token create` makes another one",
            passing=True,
        )
    expected = signature_of(told["kubeconfig"], token)
    if not hmac.compare_digest(str(signature).encode("utf-8", "replace"), expected.encode()):
        raise Trouble(
            "the cluster's description is not signed with this token",
            tried=f"check the signature of token {token.id} on the description that {server} gives",
            got="another signature",
            hint="was the token copied whole? If it was, somebody on the way describes another cluster",
        )
    authority = _pinned(server, told["kubeconfig"], pins)
    again = _description(server, ssl.create_default_context(cadata=authority), now)
    if again["kubeconfig"] != told["kubeconfig"]:
        raise _in_the_middle(server, "over verified TLS it describes itself otherwise than without")
    return authority.encode()


def pin_of(der: bytes) -> str:
    """The pin of a certificate: SHA-256 of its SubjectPublicKeyInfo (RFC 7469, section 2.4). Raises ValueError."""
    _, certificate, _ = element(der, 0)
    _, tbs, _ = element(certificate, 0)
    position = 0
    # version [0], serial number, signature algorithm, issuer, validity, subject: RFC 5280, section 4.1.
    for _ in range(6):
        _, _, position = element(tbs, position)
    _, _, end = element(tbs, position)
    return f"sha256:{hashlib.sha256(tbs[position:end]).hexdigest()}"


def signature_of(content: str, token: Token) -> str:
    """The JSON Web Signature over `content` without its payload, keyed by the token's secret (RFC 7515, appendix F)."""
    header = _base64url(json.dumps({"alg": "HS256", "kid": token.id}, separators=(",", ":")).encode())
    signed = f"{header}.{_base64url(content.encode())}".encode()
    return f"{header}..{_base64url(hmac.digest(token.secret.encode(), signed, hashlib.sha256))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _believing_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _description(server: Server, context: ssl.SSLContext, now: float) -> dict[str, str]:
    accept = {"Accept": "application/json"}
    try:
        answer = asked(server.host, server.port, context, CLUSTER_INFO, accept, seconds=SECONDS, largest=LONGEST)
    except ssl.SSLCertVerificationError as error:
        raise _in_the_middle(server, error.verify_message) from None
    except (ssl.SSLError, http.client.HTTPException, ConnectionResetError) as error:
        raise _not_ours(server, f"{type(error).__name__}: {error}") from None
    except TooSlow as error:
        raise Trouble(
            f"the server {server} answers too slowly, or not at all",
            tried="ask it for the cluster's description",
            got=str(error),
            hint="name another server of the cluster; if it is one that is busy, the same command again",
            passing=True,
        ) from None
    except OSError as error:
        raise Trouble(
            f"the server {server} can't be reached from this machine",
            tried="ask it for the cluster's description",
            got=error.strerror or str(error) or type(error).__name__,
            hint="is it on, is the address right, and does a firewall let this machine through to that port?",
            passing=True,
        ) from None
    status, body = answer.status, answer.body
    _check_clock(server, answer.headers["Date"], now)
    try:
        found = parsed_json(body)
        data: dict[str, str] = found["data"]
        kubeconfig = data["kubeconfig"]
    except (ValueError, KeyError, TypeError):
        raise _not_ours(server, f"status {status}: {body[:100].decode('utf-8', 'replace')!r}") from None
    if status != 200 or not isinstance(kubeconfig, str):
        raise _not_ours(server, f"status {status}")
    return data


def _check_clock(server: Server, date: str | None, now: float) -> None:
    try:
        there = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError):
        return
    if abs(there - now) <= APART_SECONDS:
        return
    minutes = round(abs(there - now) / 60)
    raise Trouble(
        f"the server's clock is {minutes // 60} h {minutes % 60} min {'ahead of' if there > now else 'behind'} this "
        "machine's",
        tried=f"compare it with that of {server}",
        got=f"there {date}",
        hint="set the clock that is wrong: no certificate would be valid when it should be",
        # Time comes over the network, a while after the machine has started.
        passing=True,
    )


def _pinned(server: Server, told: str, pins: frozenset[str]) -> str:
    try:
        (cluster,) = parsed_json(told)["clusters"]
        bundle = base64.b64decode(cluster["cluster"]["certificate-authority-data"], validate=True).decode()
        found = {pin_of(base64.b64decode(text)): text for text in _CERTIFICATE.findall(bundle)}
    except (ValueError, KeyError, TypeError) as error:
        raise _not_ours(server, f"its description can't be understood: {type(error).__name__}") from None
    pinned = [text for pin, text in found.items() if pin in pins]
    if not pinned:
        raise Trouble(
            f"{server} is not the cluster that is pinned",
            tried=f"look for the authority with the key {', '.join(sorted(pins))}",
            got=", ".join(found) or "no authority",
            hint="compare the pin with the one that `clusterup token create` printed. If that is the one, somebody who "
            "has the token answers in the cluster's place: revoke it",
        )
    return "".join(f"-----BEGIN CERTIFICATE-----{text}-----END CERTIFICATE-----\n" for text in pinned)


def _in_the_middle(server: Server, got: str) -> Trouble:
    return Trouble(
        f"somebody between this machine and the cluster answers as {server}, or it is known by another name",
        tried="ask again, over TLS that the pinned authority vouches for",
        got=got,
        hint="nothing was sent to them. Find out who answers at that address, or name another server of the cluster",
    )


def _not_ours(server: Server, got: str) -> Trouble:
    return Trouble(
        f"what answers at {server} is no API server of a Kubernetes cluster that nodes can join",
        tried=f"GET {CLUSTER_INFO}",
        got=got,
        hint=f"name a server of the cluster, as the join command has it: https://HOST:{API_PORT}",
        # A server that starts answers like this for a while.
        passing=True,
    )
