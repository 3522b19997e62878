"""The certificate that a client shows."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from bootstrap.pki.x509 import KeyPair


def show(context: ssl.SSLContext, client: KeyPair) -> None:
    """Make the context show a certificate. ssl reads it from files only: one that no one else reads, for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(client.cert_pem + b"\n" + client.key_pem)
        context.load_cert_chain(pair)
