"""The quorum, as its members tell it: who is in it, who leads, who lags; adding, promoting and removing members; keys
and the leases that they are bound to.

Everything goes over mutual TLS and has a bounded time for each call.
Source: https://etcd.io/docs/v3.5/op-guide/runtime-configuration/, https://etcd.io/docs/v3.5/learning/design-learner/
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any

from bootstrap.clients.etcd_messages import message_classes
from bootstrap.errors import ClusterupError
from bootstrap.pki.x509 import KeyPair
from bootstrap.protocol.learner import Member
from bootstrap.protocol.lease_lock import KeyValue, Lease

# gRPC takes a proxy out of the environment, even for what a tunnel brings to loopback: members are no one's but ours.
CHANNEL_OPTIONS = (("grpc.enable_http_proxy", 0),)


class EtcdError(ClusterupError):
    """etcd can't be reached or refused what was asked."""


class EtcdSlow(EtcdError):
    """No answer came in the time that it may take."""


class NotSettled(EtcdError):
    """The cluster has not got over its last change of members yet: ask again later."""


class LearnerNotReady(EtcdError):
    """The learner has not caught up with the leader yet: promote it later."""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """What a member says of itself: raft indexes are counts of entries, `db_size` is bytes, `leader` a member's id
    (0 while there is none)."""

    version: str
    leader: int
    raft_index: int
    raft_applied: int
    raft_term: int
    db_size: int
    learner: bool
    errors: tuple[str, ...]


class EtcdClient:
    """A connection to one member. Use it as a context manager.

    `host` and `port` are where the member is reached, `ca_pem` the authority of its certificate, `client` what
    we show it. `timeout` (seconds) bounds each call.
    """

    def __init__(
        self, host: str, port: int, *, ca_pem: bytes, client: KeyPair, node: str | None = None, timeout: float = 10.0
    ) -> None:
        # gRPC writes to the terminal by itself; what went wrong is in our errors.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        import grpc

        self._credentials = grpc.ssl_channel_credentials(ca_pem, client.key_pem, client.cert_pem)
        self._place = host, port
        self._where = f"{host}:{port}"
        self._node = node
        self._timeout = timeout
        self._opened = ExitStack()

    def __enter__(self) -> EtcdClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._opened.close()

    @cached_property
    def _client(self) -> Any:
        """The client library's: for keys and leases. It is not quick to import, and has a channel of its own."""
        import etcd3

        # The library reckons by the wall clock how long a member is left alone that failed: never, whatever clocks do.
        endpoint = etcd3.Endpoint(*self._place, creds=self._credentials, time_retry=-math.inf, opts=CHANNEL_OPTIONS)
        client = etcd3.MultiEndpointEtcd3Client(endpoints=[endpoint], timeout=self._timeout)
        self._opened.callback(client.close)
        return client

    @cached_property
    def _channel(self) -> Any:
        """For members and their states, which the library does not know enough of."""
        import grpc

        channel = grpc.secure_channel(self._where, self._credentials, options=CHANNEL_OPTIONS)
        self._opened.callback(channel.close)
        return channel

    def members(self) -> tuple[Member, ...]:
        """All members, learners included. Raises EtcdError."""
        answer = self._call("Cluster", "MemberList", linearizable=False)
        return tuple(_member(member) for member in answer.members)

    def add_learner(self, peer_url: str) -> Member:
        """Add a member that has no vote yet, reached by its peers at `peer_url`. Raises EtcdError."""
        return _member(self._call("Cluster", "MemberAdd", peerURLs=[peer_url], isLearner=True).member)

    def promote(self, member_id: int) -> None:
        """Give a learner its vote. Raises LearnerNotReady while it lags behind, or EtcdError."""
        self._call("Cluster", "MemberPromote", ID=member_id)

    def remove(self, member_id: int) -> None:
        """Take a member out of the cluster. Raises EtcdError, as when it would lose quorum."""
        self._call("Cluster", "MemberRemove", ID=member_id)

    def update(self, member_id: int, peer_urls: Sequence[str]) -> None:
        """Say at which URLs a member is reached by its peers. Raises EtcdError."""
        self._call("Cluster", "MemberUpdate", ID=member_id, peerURLs=list(peer_urls))

    def move_leader(self, member_id: int) -> None:
        """Make another voter the leader; only the member that leads takes this. Raises EtcdError."""
        self._call("Maintenance", "MoveLeader", targetID=member_id)

    def status(self) -> MemberStatus:
        """The state of the member that answers. Raises EtcdError."""
        answer = self._call("Maintenance", "Status")
        return MemberStatus(
            version=answer.version,
            leader=answer.leader,
            raft_index=answer.raftIndex,
            raft_applied=answer.raftAppliedIndex,
            raft_term=answer.raftTerm,
            db_size=answer.dbSize,
            learner=answer.isLearner,
            errors=tuple(answer.errors),
        )

    def get(self, key: str) -> bytes | None:
        """The value of a key, read through the quorum. Raises EtcdError."""
        value, _ = self._guarded(lambda: self._client.get(key), f"get {key}")
        return value if value is None else bytes(value)

    def put(self, key: str, value: str | bytes) -> None:
        """Write a key. Raises EtcdError."""
        self._guarded(lambda: self._client.put(key, value), f"put {key}")

    def entry(self, key: str) -> KeyValue | None:
        """A key with what it is bound to, read through the quorum. Raises EtcdError."""
        value, about = self._guarded(lambda: self._client.get(key), f"get {key}")
        return None if about is None else _entry(value, about)

    def create(self, key: str, value: bytes, lease: Lease) -> KeyValue | None:
        """Write a key that is not there, bound to `lease`, in one transaction. None when it was written; what is there
        otherwise. Raises EtcdError."""
        ops = self._client.transactions
        done, answers = self._guarded(
            lambda: self._client.transaction(
                compare=[ops.create(key) == 0],
                success=[ops.put(key, value, lease=lease.id)],
                failure=[ops.get(key)],
            ),
            f"create {key}",
        )
        return None if done else _entry(*answers[0][0])

    def grant(self, seconds: int) -> Lease:
        """A new lease. etcd grants at least one and a half times its election timeout. Raises EtcdError."""
        granted = self._guarded(lambda: self._client.lease(seconds), "grant a lease")
        return Lease(granted.id, granted.ttl)

    def keep_alive(self, lease: Lease) -> int:
        """Begin the lease's time again: the seconds that it has now, 0 when it has ended. Raises EtcdError."""
        # The library's stream of one request ends with its answer, in bounded time.
        answers = self._guarded(lambda: list(self._client.refresh_lease(lease.id)), "keep a lease alive")
        if not answers:
            raise self._error(EtcdError, "keep a lease alive", "the stream ended without an answer")
        return int(answers[0].TTL)

    def seconds_left(self, lease_id: int) -> int:
        """The seconds after which a lease ends that no one keeps alive, 0 when it has ended. Raises EtcdError."""
        return max(0, int(self._guarded(lambda: self._client.get_lease_info(lease_id), "ask for a lease").TTL))

    def revoke(self, lease: Lease) -> None:
        """End a lease; etcd removes its keys. Raises EtcdError."""
        self._guarded(lambda: self._client.revoke_lease(lease.id), "revoke a lease")

    def healthy(self) -> bool:
        """Whether the quorum answers a linearizable read, as `etcdctl endpoint health` asks."""
        try:
            self.get("health")
        except EtcdError:
            return False
        return True

    def _call(self, service: str, method: str, **fields: object) -> Any:
        classes = message_classes()
        call = self._channel.unary_unary(
            f"/etcdserverpb.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=classes[f"{method}Response"].FromString,
        )
        request = classes[f"{method}Request"](**fields)
        return self._guarded(lambda: call(request, timeout=self._timeout), method)

    def _guarded(self, call: Any, what: str) -> Any:
        import grpc

        try:
            return call()
        except grpc.RpcError as error:
            details = error.details() or error.code().name
            if "in sync with leader" in details:
                raise self._error(LearnerNotReady, what, details) from None
            if "unhealthy cluster" in details or "re-configuration failed" in details:
                raise self._error(NotSettled, what, details) from None
            late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED or "request timed out" in details
            raise self._error(EtcdSlow if late else EtcdError, what, f"{error.code().name}: {details}") from None
        except Exception as error:
            # Not by the class: the library may not have been imported.
            if not any(kind.__module__ == "etcd3.exceptions" for kind in type(error).__mro__):
                raise
            raise self._error(EtcdError, what, str(error) or type(error).__name__) from None

    def _error(self, kind: type[EtcdError], what: str, got: str) -> EtcdError:
        return kind(
            "etcd did not do what it was asked",
            node=self._node,
            step="etcd",
            tried=f"{what} at {self._where}",
            got=got,
            hint="look at `journalctl -u etcd` on the node; run the command again: it goes on from here",
        )


def _entry(value: bytes, about: Any) -> KeyValue:
    return KeyValue(bytes(value), about.lease_id)


def _member(message: Any) -> Member:
    return Member(
        message.ID, message.name, tuple(message.peerURLs), tuple(message.clientURLs), learner=message.isLearner
    )


def healthy_voter(client: EtcdClient) -> bool:
    """Whether the member that answers has a vote, and the quorum answers through it."""
    return client.healthy() and not client.status().learner
