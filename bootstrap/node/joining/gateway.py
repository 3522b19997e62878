"""The quorum's etcd, asked over its JSON gateway: the standard library speaks no gRPC.

Source: https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/
"""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from bootstrap.constants.ports import ETCD_CLIENT_PORT
from bootstrap.node.asking import Api
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.learner import Member
from bootstrap.protocol.lease_lock import KeyValue, Lease


class Etcd:
    """The quorum, asked at one of the `servers`, with the certificate that `context` shows."""

    def __init__(self, servers: Sequence[ServerUrl], context: ssl.SSLContext) -> None:
        self._servers, self._context = tuple(servers), context

    def members(self) -> tuple[Member, ...]:
        """All members, as the quorum has them. Raises Failure where it does not answer."""
        found = self.ask("/v3/cluster/member/list", {"linearizable": True})["members"]
        return tuple(
            Member(
                int(each["ID"]),
                str(each.get("name", "")),
                tuple(each.get("peerURLs") or ()),
                tuple(each.get("clientURLs") or ()),
                bool(each.get("isLearner")),
            )
            for each in found
        )

    def add_learner(self, peer_url: str) -> None:
        """Add a member without a vote. Raises Failure where that can't be done now."""
        self.ask("/v3/cluster/member/add", {"peerURLs": [peer_url], "isLearner": True})

    def promote(self, member_id: int) -> None:
        """Give a learner its vote. Raises Failure where it has not caught up yet."""
        self.ask("/v3/cluster/member/promote", {"ID": str(member_id)})

    def remove(self, member_id: int) -> None:
        """Remove a member. Raises Failure where that can't be done now."""
        self.ask("/v3/cluster/member/remove", {"ID": str(member_id)})

    def healthy(self, member: Member) -> bool:
        """Whether the member answers through the quorum."""
        for url in member.client_urls:
            found = urlsplit(url)
            place = ServerUrl(found.hostname or "", found.port or ETCD_CLIENT_PORT)
            try:
                status, said = Api(place, self._context, {}).get("/health")
            except (OSError, http.client.HTTPException, ValueError):
                continue
            if status == 200 and said.get("health") == "true":
                return True
        return False

    def ask(self, path: str, body: object) -> Any:
        """What a server says to `body`, JSON, at a path of etcd's gateway. Raises Failure where none does."""
        said = []
        for server in self._servers:
            try:
                status, found = Api(server, self._context, {}).send("POST", path, body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                said.append(f"{server}: {error or type(error).__name__}")
                continue
            if status == 200:
                return found
            said.append(f"{server}: {found.get('message') or found.get('error') or status}")
        raise Failure(
            "etcd does not do what it was asked",
            tried=f"{path.rpartition('/')[2]} at {', '.join(map(str, self._servers))}",
            got="; ".join(said),
            hint="are most of the servers up (`systemctl status etcd` there), and does a firewall let this machine "
            "through to that port? The same command goes on",
            passing=True,
        )

    # What the cluster's lock asks: see `bootstrap.protocol.lease_lock.Keys`.

    def entry(self, key: str) -> KeyValue | None:
        """A key with what it is bound to, read through the quorum. Raises Failure where it does not answer."""
        answer = self.ask("/v3/kv/range", {"key": _coded(key.encode())})
        with _understood(answer):
            return _entry(answer)

    def create(self, key: str, value: bytes, lease: Lease) -> KeyValue | None:
        """Write a key that is not there. None when it was written; what is there otherwise. Raises Failure."""
        coded = _coded(key.encode())
        answer = self.ask(
            "/v3/kv/txn",
            {
                "compare": [{"key": coded, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}],
                "success": [{"request_put": {"key": coded, "value": _coded(value), "lease": str(lease.id)}}],
                "failure": [{"request_range": {"key": coded}}],
            },
        )
        with _understood(answer):
            return None if answer.get("succeeded") else _entry(answer["responses"][0]["response_range"])

    def grant(self, seconds: int) -> Lease:
        """A new lease. Raises Failure."""
        answer = self.ask("/v3/lease/grant", {"TTL": str(seconds)})
        with _understood(answer):
            return Lease(int(answer["ID"]), int(answer["TTL"]))

    def keep_alive(self, lease: Lease) -> int:
        """Begin the lease's time again: the seconds that it has now, 0 when it has ended. Raises Failure where etcd
        does not say."""
        answer = self.ask("/v3/lease/keepalive", {"ID": str(lease.id)})
        # A stream of answers, which fails with a status of its own inside of one that is well.
        with _understood(answer):
            return int(answer["result"].get("TTL", 0))

    def seconds_left(self, lease_id: int) -> int:
        """The seconds after which a lease ends that no one keeps alive, 0 when it has ended. Raises Failure."""
        answer = self.ask("/v3/lease/timetolive", {"ID": str(lease_id)})
        with _understood(answer):
            return max(0, int(answer.get("TTL", 0)))

    def revoke(self, lease: Lease) -> None:
        """End a lease, and the keys that are bound to it. Raises Failure."""
        self.ask("/v3/lease/revoke", {"ID": str(lease.id)})

    def close(self) -> None:
        """Nothing is kept open between two questions."""


@contextmanager
def _understood(answer: Any) -> Iterator[None]:
    """Whatever else etcd answers, for instance while it has no leader: Failure that passes."""
    try:
        yield
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise Failure(
            "etcd does not say how it stands with the cluster's lock",
            tried="ask for the lock's key and its lease",
            got=str(answer)[:300],
            hint="look at `journalctl -u etcd` on a server; the same command goes on",
            passing=True,
        ) from None


def _entry(found: Mapping[str, Any]) -> KeyValue | None:
    for each in found.get("kvs") or ():
        return KeyValue(base64.b64decode(each.get("value", "")), int(each.get("lease", 0)))
    return None


def _coded(content: bytes) -> str:
    return base64.b64encode(content).decode()
