"""A cluster's keys on the operator's machine, in kubeadm's own layout: folder 0700, files 0600.

A key is written before its certificate: a certificate that is there always has its key, whatever was interrupted.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bootstrap.pki.x509 import (
    KeyPair,
    Usage,
    expires,
    hosts_of,
    issue,
    new_authority,
    new_service_account_key,
    signed_by,
)

# A certificate is made anew when less than this is left of it.
RENEW_BEFORE = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class ClusterPki:
    """The cluster's three authorities and the key that signs service account tokens (PEM)."""

    folder: Path
    ca: KeyPair
    front_proxy: KeyPair
    etcd: KeyPair
    service_account_key: bytes = field(repr=False)
    service_account_public: bytes


def kept_pki(folder: Path) -> ClusterPki:
    """The PKI in `folder`; what is missing is made, what is there is never replaced."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private, public = folder / "sa.key", folder / "sa.pub"
    if not public.exists():
        made_private, made_public = new_service_account_key()
        write_private(private, made_private)
        write_private(public, made_public)
    return ClusterPki(
        folder=folder,
        ca=_kept(folder / "ca", lambda: new_authority("kubernetes")),
        front_proxy=_kept(folder / "front-proxy-ca", lambda: new_authority("front-proxy-ca")),
        etcd=_kept(folder / "etcd" / "ca", lambda: new_authority("etcd-ca")),
        service_account_key=private.read_bytes(),
        service_account_public=public.read_bytes(),
    )


def kept_leaf(
    path: Path,
    authority: KeyPair,
    *,
    common_name: str,
    usage: Usage,
    organizations: Sequence[str] = (),
    hosts: Sequence[str] = (),
) -> KeyPair:
    """The certificate at `path`.crt with `path`.key, made anew when it is missing, near its end, of another
    authority, or not for just these hosts: a second run finds the same bytes."""
    certificate, key = _paths(path)
    if certificate.exists() and key.exists():
        found = KeyPair(certificate.read_bytes(), key.read_bytes())
        if (
            signed_by(found.cert_pem, authority.cert_pem)
            and hosts_of(found.cert_pem) == frozenset(hosts)
            and expires(found.cert_pem) - datetime.now(UTC) > RENEW_BEFORE
        ):
            return found
    made = issue(authority, common_name=common_name, usage=usage, organizations=organizations, hosts=hosts)
    _write_pair(path, made)
    return made


def read_if_there(path: Path) -> bytes | None:
    """The file's content; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads; whole or not at all."""
    with _unfinished(path, content) as unfinished:
        unfinished.replace(path)


def write_once(path: Path, content: bytes) -> bytes:
    """Write a file that only its owner reads, unless it is there: the first of several writers wins, and each gets what
    is in the file then."""
    with _unfinished(path, content) as unfinished, suppress(FileExistsError):
        os.link(unfinished, path)
    return path.read_bytes()


@contextmanager
def _unfinished(path: Path, content: bytes) -> Iterator[Path]:
    """A file beside `path` with the content, on the disk and readable by its owner alone; gone at the end, unless
    it was renamed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _paths(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + ".crt"), path.with_name(path.name + ".key")


def _write_pair(path: Path, pair: KeyPair) -> None:
    certificate, key = _paths(path)
    certificate.unlink(missing_ok=True)
    write_private(key, pair.key_pem)
    write_private(certificate, pair.cert_pem)


def _kept(path: Path, make: Callable[[], KeyPair]) -> KeyPair:
    certificate, key = _paths(path)
    if not certificate.exists():
        _write_pair(path, make())
    return KeyPair(certificate.read_bytes(), key.read_bytes())
