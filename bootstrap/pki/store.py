"""A cluster's keys on the operator's machine, in kubeadm's own layout: folder 0700, files 0600.

What is missing is made in memory; see `bootstrap.pki.vault`, which writes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from bootstrap.errors import BadUse
from bootstrap.pki.x509 import (
    KeyPair,
    Usage,
    belong_together,
    expires,
    hosts_of,
    is_certificate,
    is_private_key,
    issue,
    new_key,
    new_service_account_key,
    public_half,
    self_signed,
    signed_by,
)

# A certificate is made again when less than this is left of it.
RENEW_BEFORE = timedelta(days=60)
# Name in the folder of a cluster's keys -> the common name in it.
AUTHORITIES = {"pki/ca": "kubernetes", "pki/front-proxy-ca": "front-proxy-ca", "pki/etcd/ca": "etcd-ca"}
Keep = Callable[[str, Callable[[], bytes]], bytes]
"""Gives what a file holds, by its name; what makes it where there is none yet comes second."""


class Keeps(Protocol):
    """Where keys and certificates are kept, as in `bootstrap.pki.vault`. Whoever holds `guard` is alone with it."""

    guard: threading.RLock

    def read(self, name: str) -> bytes | None: ...

    def make(self, name: str, content: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ClusterPki:
    """The cluster's three authorities and the key that signs service account tokens (PEM)."""

    ca: KeyPair
    front_proxy: KeyPair
    etcd: KeyPair
    service_account_key: bytes = field(repr=False)
    service_account_public: bytes


def kept_pki(keep: Keep) -> ClusterPki:
    """The cluster's authorities, each of their files through `keep`. A certificate that is missing beside its key is
    made for that key."""
    private = keep("pki/sa.key", new_service_account_key)
    ca, front_proxy, etcd = (_authority(keep, path, name) for path, name in AUTHORITIES.items())
    return ClusterPki(
        ca=ca,
        front_proxy=front_proxy,
        etcd=etcd,
        service_account_key=private,
        service_account_public=keep("pki/sa.pub", lambda: public_half(private)),
    )


def strangers_in(pki: ClusterPki) -> dict[str, str]:
    """The certificates and public keys that are not those of the private keys beside them: both files' names."""
    pairs = zip(AUTHORITIES, (pki.ca, pki.front_proxy, pki.etcd), strict=True)
    found = {f"{path}.crt": f"{path}.key" for path, pair in pairs if not belong_together(pair)}
    if public_half(pki.service_account_key).strip() != pki.service_account_public.strip():
        found["pki/sa.pub"] = "pki/sa.key"
    return found


def made_public(name: str, key_pem: bytes) -> bytes:
    """What belongs into that file of an authority, or of the key of service accounts, for this private key."""
    path = name.removesuffix(".crt")
    return self_signed(AUTHORITIES[path], key_pem) if path in AUTHORITIES else public_half(key_pem)


def _authority(keep: Keep, path: str, common_name: str) -> KeyPair:
    key = keep(f"{path}.key", new_key)
    return KeyPair(keep(f"{path}.crt", lambda: self_signed(common_name, key)), key)


def kept_leaf(
    vault: Keeps,
    path: str,
    authority: KeyPair,
    *,
    common_name: str,
    usage: Usage,
    organizations: Sequence[str] = (),
    hosts: Sequence[str] = (),
) -> KeyPair:
    """The certificate `path`.crt with `path`.key, made again for the same key when it is missing, damaged, near its
    end, of another authority, or not for just these hosts: a second run finds the same bytes. A key that can't be used
    is replaced."""
    with vault.guard:
        key = vault.read(f"{path}.key")
        if key is None or not is_private_key(key):
            key = vault.make(f"{path}.key", new_key())
        found = vault.read(f"{path}.crt")
        if found is not None and _is_good(KeyPair(found, key), authority, hosts):
            return KeyPair(found, key)
        made = issue(authority, key, common_name=common_name, usage=usage, organizations=organizations, hosts=hosts)
        return KeyPair(vault.make(f"{path}.crt", made.cert_pem), key)


def _is_good(pair: KeyPair, authority: KeyPair, hosts: Sequence[str]) -> bool:
    return (
        is_certificate(pair.cert_pem)
        and belong_together(pair)
        and signed_by(pair.cert_pem, authority.cert_pem)
        and hosts_of(pair.cert_pem) == frozenset(hosts)
        and expires(pair.cert_pem) - datetime.now(UTC) > RENEW_BEFORE
    )


def read_if_there(path: Path) -> bytes | None:
    """The file's content; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def read_note(path: Path) -> bytes | None:
    """The content of a file of the state; None where there is none. Raises BadUse where it can't be read."""
    try:
        return read_if_there(path)
    except OSError as error:
        raise BadUse(
            f"{path} can't be read",
            step="state",
            tried="read what is kept of the cluster",
            got=error.strerror or str(error),
            hint="make the folder and all in it yours; run clusterup as the user who made the cluster",
        ) from None
