"""From a server's URL, a token and a pin to an authority that can be trusted, as kubeadm does it.

The cluster's description (cluster-info in kube-public) is asked for without believing anybody. It counts when it is
signed with the token, when an authority in it has the pinned key, and when it comes back the same over TLS that this
very authority vouches for. Of several authorities in it only those that are pinned are believed: whoever has the token
could sign a description with one more. The token itself is sent to no one here.

Source: https://github.com/kubernetes/kubernetes/blob/v1.20.2/cmd/kubeadm/app/discovery/token/token.go
"""

from __future__ import annotations

import base64
import http.client
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from bootstrap.outside import parsed_json
from bootstrap.protocol.certificate import as_pem, certificates_in, pin_of
from bootstrap.protocol.clock_skew import Clocks, check_clocks, date_of
from bootstrap.protocol.exchange import Answer, TooSlow, asked
from bootstrap.protocol.failure import Failure, Kind
from bootstrap.protocol.ports import API_PORT
from bootstrap.protocol.token import Token, signature_is_good

CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
SIGNATURE = "jws-kubeconfig-{}"
# From connecting to the last byte: a small machine takes seconds for a handshake.
ANSWER_SECONDS = 45.0
# The control plane signs the description for a new token a moment after the token was made.
SIGNED_SECONDS = 10.0
AGAIN_SECONDS = 1.0
LONGEST = 2 << 20
MESSAGE_SHOWN = 500
_PIN = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
# OpenSSL's X509_V_ERR_...: not yet valid, has expired, another host's, another address's.
_TOO_EARLY, _TOO_LATE, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64

Reads = Callable[[str], Any]
"""What reads the description's kubeconfig: YAML where that can be read, JSON elsewhere. Raises ValueError."""


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """Where an API server, or a balancer in front of several, is reached."""

    host: str
    port: int = API_PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


def server_url(text: str) -> ServerUrl:
    """The server in "https://HOST:PORT", "HOST:PORT" or "HOST". Raises Failure for anything else."""
    try:
        found = urlsplit(text if "://" in text else f"https://{text}")
        port = found.port
    except ValueError:
        found, port = urlsplit(""), 0
    bare = found.path in ("", "/") and not found.query and found.username is None
    if found.scheme != "https" or not found.hostname or not bare or port == 0:
        raise Failure(
            "the URL of the server is not understood",
            kind=Kind.BAD_USE,
            got=text,
            hint=f"as in: https://192.0.2.11:{API_PORT}",
        )
    return ServerUrl(found.hostname, port or API_PORT)


def pins_of(given: Sequence[str]) -> frozenset[str]:
    """The pins that were given. Raises Failure where there is none, or where one is not a pin."""
    pins = frozenset(pin.strip().lower() for pin in given)
    wrong = sorted(pin for pin in pins if not _PIN.fullmatch(pin))
    if not pins or wrong:
        raise Failure(
            "this is not a pin of the cluster's authority" if wrong else "nothing says which cluster is meant",
            kind=Kind.BAD_USE,
            got=", ".join(wrong) or "no --ca-cert-hash",
            hint="`clusterup token create` prints it with the token: --ca-cert-hash sha256:... (64 digits); without it "
            "anybody on the way could be the cluster",
        )
    return pins


def discover(
    server: ServerUrl,
    token: Token,
    pins: frozenset[str],
    *,
    reads: Reads = parsed_json,
    clock: Callable[[], float] = time.time,
    patience: float = SIGNED_SECONDS,
    seconds: float = ANSWER_SECONDS,
) -> bytes:
    """The pinned authorities (PEM) of the cluster behind `server`, which is the one that was meant: see above. `clock`
    tells this machine's time, `patience` is how long (seconds) the description may be without the token's signature,
    `seconds` how long an answer may take.

    Raises Failure that says which of all that is not so.
    """
    end, told_once = time.monotonic() + patience, False
    while True:
        try:
            answer = _asked(server, _believing_anybody(), seconds)
        except Failure:
            # Who was there a moment ago is slow, or restarts; who never was is named at once.
            if not told_once or time.monotonic() >= end:
                raise
            time.sleep(AGAIN_SECONDS)
            continue
        told_once = True
        data = _description(server, answer)
        _check_clocks(server, answer, clock())
        signature = data.get(SIGNATURE.format(token.id))
        if signature is not None or time.monotonic() >= end:
            break
        time.sleep(AGAIN_SECONDS)
    told = data["kubeconfig"]
    _check_signature(server, told, signature, token)
    authority = _pinned(server, told, pins, reads)
    again = _description(server, _asked_again(server, authority, seconds))
    if again["kubeconfig"] != told:
        raise _in_the_middle(server, "over verified TLS it describes itself otherwise than without")
    return authority.encode()


def _believing_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _asked(server: ServerUrl, context: ssl.SSLContext, seconds: float) -> Answer:
    accept = {"Accept": "application/json"}
    try:
        return asked(server.host, server.port, context, CLUSTER_INFO, accept, seconds=seconds, largest=LONGEST)
    except ssl.SSLCertVerificationError:
        raise
    except TooSlow as error:
        raise Failure(
            f"the server {server} answers too slowly, or not at all",
            tried="ask it for the cluster's description",
            got=str(error),
            hint="name another server of the cluster; if this one is busy, the same command again",
            passing=True,
        ) from None
    except (ssl.SSLError, http.client.HTTPException, ConnectionResetError, ValueError) as error:
        raise _not_ours(server, f"{type(error).__name__}: {error}") from None
    except OSError as error:
        raise Failure(
            f"the server {server} can't be reached from this machine",
            tried="ask it for the cluster's description",
            got=error.strerror or str(error) or type(error).__name__,
            hint="is it on, is the address right, and does a firewall let this machine through to that port? Any "
            "server of the cluster, or what balances between them, will do",
            passing=True,
        ) from None


def _description(server: ServerUrl, answer: Answer) -> dict[str, str]:
    """The data of cluster-info. Raises Failure for what is something else."""
    try:
        found = parsed_json(answer.body)
        kind = found["kind"]
    except (ValueError, KeyError, TypeError):
        raise _not_ours(server, f"status {answer.status}: {answer.body[:100].decode('utf-8', 'replace')!r}") from None
    told = found.get("data")
    if answer.status == 200 and kind == "ConfigMap" and isinstance(told, dict):
        data = {key: value for key, value in told.items() if isinstance(value, str)}
        if "kubeconfig" in data:
            return data
    if kind != "Status":
        raise _not_ours(server, f"status {answer.status}: {str(kind)[:100]!r}")
    raise Failure(
        f"the cluster behind {server} tells no one how to join it",
        kind=Kind.REFUSED,
        tried=f"GET {CLUSTER_INFO}",
        got=f"{answer.status}: {str(found.get('message'))[:MESSAGE_SHOWN]}",
        hint="if it is a cluster of clusterup's, `clusterup apply` puts its description there; if not, it is not the "
        "one that the token is for",
        # So does one that has not read its rules yet, or whose etcd is slow.
        passing=True,
    )


def _check_clocks(server: ServerUrl, answer: Answer, now: float) -> None:
    there = date_of(answer.headers["Date"])
    if there is not None and answer.certificate is not None:
        clocks = Clocks(datetime.fromtimestamp(now, UTC), there, answer.certificate)
        try:
            check_clocks(str(server), clocks)
        except ValueError as error:
            raise _not_ours(server, f"its certificate can't be read: {error}") from None


def _check_signature(server: ServerUrl, told: str, signature: str | None, token: Token) -> None:
    if signature is None:
        raise Failure(
            "the cluster knows no such token: it never did, or it has expired, was revoked, or is used up",
            kind=Kind.REFUSED,
            passing=True,
            tried=f"look for the signature of token {token.id} on the description that {server} gives",
            got="none",
            hint="`clusterup token list` shows the tokens that there are; `clusterup token create` makes one",
        )
    if not signature_is_good(told, signature, token):
        raise Failure(
            "the cluster's description is not signed with this token",
            kind=Kind.REFUSED,
            tried=f"check the signature of token {token.id} on the description that {server} gives",
            got="another signature",
            hint="was the token copied whole? Its second half is secret and has to be right. If it is, somebody "
            f"between here and {server} describes another cluster",
        )


def _pinned(server: ServerUrl, told: str, pins: frozenset[str], reads: Reads) -> str:
    """The authorities in the description that are pinned, PEM. Raises Failure where none is."""
    found = {pin_of(der): der for der in _authorities(server, told, reads)}
    pinned = "".join(as_pem(der) for pin, der in found.items() if pin in pins)
    if not pinned:
        raise Failure(
            f"{server} is not the cluster that is pinned",
            kind=Kind.REFUSED,
            tried=f"look for the authority with the key {', '.join(sorted(pins))}",
            got=", ".join(found),
            hint="compare the pin with the one that `clusterup token create` printed. If that is the one, somebody who "
            "has the token answers in the cluster's place: revoke it (`clusterup token revoke`)",
        )
    return pinned


def _authorities(server: ServerUrl, told: str, reads: Reads) -> list[bytes]:
    """The authorities in the description, DER."""
    try:
        (cluster,) = reads(told)["clusters"]
        bundle = base64.b64decode(cluster["cluster"]["certificate-authority-data"], validate=True).decode()
        found = certificates_in(bundle)
        for der in found:
            pin_of(der)
    except (ValueError, KeyError, TypeError) as error:
        raise _not_ours(server, f"its description can't be understood: {type(error).__name__}") from None
    if not found:
        raise _not_ours(server, "its description holds no authority")
    return found


def _asked_again(server: ServerUrl, authority: str, seconds: float) -> Answer:
    try:
        context = ssl.create_default_context(cadata=authority)
    except ssl.SSLError as error:
        # It has the pinned key where a certificate has its key, and is not one.
        raise _not_ours(server, f"its description can't be understood: {error.reason}") from None
    try:
        return _asked(server, context, seconds)
    except ssl.SSLCertVerificationError as error:
        raise _not_verified(server, error) from None


def _not_verified(server: ServerUrl, error: ssl.SSLCertVerificationError) -> Failure:
    if error.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        return Failure(
            f"the certificate of {server} is not made out to that name",
            kind=Kind.REFUSED,
            tried=f"verify it for {server.host}",
            got=error.verify_message,
            hint="use an address or a name that it carries, or have it carry this one: cluster.certificate_names in "
            "the inventory, then apply",
        )
    if error.verify_code in (_TOO_EARLY, _TOO_LATE):
        return Failure(
            f"the certificate of {server} is not valid now",
            kind=Kind.REFUSED,
            tried="verify it",
            got=error.verify_message,
            hint="if the clocks of both are right, `clusterup apply` makes a new one where it has ended",
        )
    return _in_the_middle(server, error.verify_message)


def _in_the_middle(server: ServerUrl, got: str) -> Failure:
    return Failure(
        f"somebody between this machine and the cluster answers as {server}",
        kind=Kind.REFUSED,
        tried="ask again, over TLS that the pinned authority vouches for",
        got=got,
        hint="nothing was sent to them. Find out who answers at that address, or name another server of the cluster",
    )


def _not_ours(server: ServerUrl, got: str) -> Failure:
    return Failure(
        f"what answers at {server} is not an API server of a Kubernetes cluster",
        kind=Kind.REFUSED,
        tried=f"GET {CLUSTER_INFO}",
        got=got,
        hint=f"name a server of the cluster, as the join command has it: https://HOST:{API_PORT}",
        # A server that starts answers like this for a while.
        passing=True,
    )
