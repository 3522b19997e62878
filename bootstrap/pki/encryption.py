"""The key that Secrets are encrypted with before they get to etcd: 32 bytes, kept as text in base64.

Without it no Secret of the cluster can be read any more: where it is, is never replaced.
"""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

from bootstrap.pki.store import read_if_there, write_once

# As XSalsa20 wants it; all of it comes from the system's source of randomness.
KEY_BYTES = 32


def kept_encryption_key(path: Path) -> str:
    """The key in the file at `path`, in base64; made at random where there is none yet.

    Raises ValueError, without repeating it, where the file holds something else.
    """
    found = read_if_there(path) or write_once(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
    return checked_encryption_key(found)


def checked_encryption_key(content: bytes) -> str:
    """The key in the content of such a file. Raises ValueError, without repeating it, where there is none."""
    try:
        text = content.decode().strip()
        whole = len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(f"no key of {KEY_BYTES} bytes in base64")
    return text
