"""The ports on which a cluster listens."""

from __future__ import annotations

from bootstrap.protocol import ports

API_PORT = ports.API_PORT
ETCD_CLIENT_PORT = 2379
ETCD_PEER_PORT = 2380
LOCAL_API_PORT = 6444
ARTIFACTS_PORT = 6445
