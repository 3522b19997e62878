"""What the files of a cluster's secrets hold, known by their names, which
`bootstrap.state.handover` has.
"""

from __future__ import annotations

import re

from bootstrap.pki.encryption import checked_encryption_key
from bootstrap.pki.sshkeys import public_line
from bootstrap.pki.x509 import is_certificate, is_private_key

ENCRYPTION_KEY = "encryption-key"
SSH_KEYS = ("id_ed25519", "ssh_host_ed25519_key")
_ID = re.compile(rb"[0-9a-f]{32}\n?")


def check_part(name: str, content: bytes) -> None:
    """Raise ValueError, without repeating anything of it, where the content is not what a file of that name holds:
    a certificate, a private or public key, the encryption key, an SSH key, or an id."""
    file = name.rpartition("/")[2]
    if file.endswith(".crt"):
        if not is_certificate(content):
            raise ValueError("not a complete certificate")
    elif file.endswith(".key"):
        if not is_private_key(content):
            raise ValueError("not a complete private key")
    elif file.endswith(".pub"):
        _check_public(content)
    elif file == ENCRYPTION_KEY:
        checked_encryption_key(content)
    elif file in SSH_KEYS:
        public_line(content)
    elif _ID.fullmatch(content) is None:
        raise ValueError("not an id of 32 hexadecimal digits")


def _check_public(content: bytes) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a complete public key") from None
