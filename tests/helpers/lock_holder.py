"""A process that takes the lock of a cluster, says so, and holds it until it is ended or its input is.

Arguments: the folder of a member's certificates, the port that it answers clients on, the seconds of the lease.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path

from bootstrap.clients.etcd import EtcdClient
from bootstrap.clients.failover import AnyMember, Way
from bootstrap.lock.lease import cluster_lock
from bootstrap.pki.x509 import KeyPair
from bootstrap.protocol.holder import Holder


def main(folder: Path, port: int, lease_seconds: int) -> None:
    operator = KeyPair((folder / "peer.crt").read_bytes(), (folder / "peer.key").read_bytes())

    def open_client() -> AbstractContextManager[EtcdClient]:
        return EtcdClient("127.0.0.1", port, ca_pem=(folder / "ca.crt").read_bytes(), client=operator)

    lock = cluster_lock(
        AnyMember([Way("s1", open_client)]),
        lambda: Holder.now("apply held.yaml", "lab"),
        lost=lambda error: print(error, flush=True),
        lease_seconds=lease_seconds,
    )
    busy = lock.attempt()
    print("in" if busy is None else busy, flush=True)
    sys.stdin.read()
    lock.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
