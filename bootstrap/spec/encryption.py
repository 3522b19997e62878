"""How the API servers encrypt what they keep in etcd: Secrets, with one key that all servers share.

secretbox (XSalsa20 and Poly1305) is known to every release from 1.13 on. Its nonces are long enough to be random for as
long as the key lives, where aesgcm wants a new key every 200,000 writes, and aescbc does not notice what was changed.
Source: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
"""

from __future__ import annotations

from bootstrap.constants.paths import ENCRYPTION_YAML
from bootstrap.machine.render import render
from bootstrap.protocol.files import NodeFile


def encryption_file(key: str) -> NodeFile:
    """What an API server reads, the same on all servers. `key` is base64."""
    return NodeFile(ENCRYPTION_YAML, render("kubernetes/encryption.yaml.j2", key=key), 0o600)
