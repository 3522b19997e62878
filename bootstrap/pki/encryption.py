"""The key that Secrets are encrypted with before they get to etcd: 32 bytes, kept as text in base64.

Without it no Secret of the cluster can be read any more: where it is, is never replaced.
"""

from __future__ import annotations

import base64
import secrets

# As XSalsa20 wants it; all of it comes from the system's source of randomness.
KEY_BYTES = 32


def new_encryption_key() -> bytes:
    """A new key, as it stands in its file."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"


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
