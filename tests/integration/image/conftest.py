"""A server with releases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.image.upstream import checksums, download
from bootstrap.pki.x509 import new_authority
from tests.integration.image.release_server import ReleaseServer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    """A mirror that holds nothing yet, an empty cache, and no pause between tries."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0)
    authority = new_authority("releases")
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with ReleaseServer(authority, tmp_path) as server:
        monkeypatch.setenv("CLUSTERUP_MIRROR", f"{server.url}/mirror/")
        # The second place has an address of its own, which no mirror stands in for.
        monkeypatch.setattr(checksums, "own_address", lambda place: f"{server.url}/{place}")
        yield server
