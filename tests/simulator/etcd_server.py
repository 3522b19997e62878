"""etcd's gRPC API with mutual TLS, in front of an `EtcdCluster`: as much of it as clusterup uses.

The messages are those of the client library, and for the cluster's members those of `bootstrap.clients.etcd_messages`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bootstrap.clients.etcd_messages import message_classes
from tests.simulator.etcd_cluster import EtcdCluster, Key, Member, Refusal

if TYPE_CHECKING:
    from tests.simulator.site import Site

Method = Callable[[EtcdCluster, Member, Any], Any]


def serve_etcd(
    site: Site, name: str, certificate: bytes, key: bytes, authority: bytes
) -> tuple[int, Callable[[], None]]:
    """Serve the member on the machine of that name: the port on 127.0.0.1, and what ends it."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc

    server = grpc.server(ThreadPoolExecutor(8, thread_name_prefix="etcd"), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(f"etcdserverpb.{service}", _handlers(site, name, methods))
            for service, methods in _services().items()
        )
    )
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return int(port), lambda: server.stop(None)


def _services() -> dict[str, dict[str, tuple[Any, Method]]]:
    from etcd3.etcdrpc import rpc_pb2 as library

    ours = message_classes()
    return {
        "KV": {
            "Range": (library.RangeRequest, _range),
            "Put": (library.PutRequest, _put),
            "Txn": (library.TxnRequest, _transaction),
        },
        "Lease": {
            "LeaseGrant": (library.LeaseGrantRequest, _grant),
            "LeaseKeepAlive": (library.LeaseKeepAliveRequest, _keep_alive),
            "LeaseTimeToLive": (library.LeaseTimeToLiveRequest, _time_to_live),
            "LeaseRevoke": (library.LeaseRevokeRequest, _revoke),
        },
        "Cluster": {
            "MemberList": (ours["MemberListRequest"], _members),
            "MemberAdd": (ours["MemberAddRequest"], _add),
            "MemberPromote": (ours["MemberPromoteRequest"], _promote),
            "MemberUpdate": (ours["MemberUpdateRequest"], _update),
            "MemberRemove": (ours["MemberRemoveRequest"], _remove),
        },
        "Maintenance": {"Status": (ours["StatusRequest"], _status)},
    }


def _handlers(site: Site, name: str, methods: dict[str, tuple[Any, Method]]) -> dict[str, Any]:
    import grpc

    def answering(method: Method) -> Callable[[Any, Any], Any]:
        def answer(request: Any, context: Any) -> Any:
            with site.lock:
                site.settle()
                try:
                    return _answered(site, name, method, request)
                except Refusal as refusal:
                    code = grpc.StatusCode.UNAVAILABLE if refusal.unavailable else grpc.StatusCode.FAILED_PRECONDITION
                    said = str(refusal)
            return context.abort(code, said)

        return answer

    def streaming(method: Method) -> Callable[[Iterable[Any], Any], Iterator[Any]]:
        one = answering(method)

        def answer(requests: Iterable[Any], context: Any) -> Iterator[Any]:
            for request in requests:
                yield one(request, context)

        return answer

    made: dict[str, Any] = {}
    for method_name, (kind, method) in methods.items():
        how = grpc.unary_unary_rpc_method_handler, answering(method)
        if method_name == "LeaseKeepAlive":
            how = grpc.stream_stream_rpc_method_handler, streaming(method)
        made[method_name] = how[0](how[1], request_deserializer=kind.FromString, response_serializer=_bytes)
    return made


def _answered(site: Site, name: str, method: Method, request: Any) -> Any:
    data = site.machines[name].etcd
    member = data.cluster.members.get(data.member) if data else None
    if data is None or member is None:
        raise Refusal("etcdserver: server stopped", unavailable=True)
    if method is not _status:
        data.cluster.require_quorum(member)
    return method(data.cluster, member, request)


def _bytes(message: Any) -> bytes:
    found: bytes = message.SerializeToString()
    return found


def _range(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    from etcd3.etcdrpc import rpc_pb2 as library

    answer = library.RangeResponse()
    found = cluster.key(request.key)
    if found is not None:
        _fill(answer.kvs.add(), request.key, found)
        answer.count = 1
    return answer


def _fill(message: Any, key: bytes, found: Key) -> None:
    message.key, message.value, message.lease = key, found.value, found.lease
    message.create_revision, message.mod_revision, message.version = found.created, found.changed, 1


def _put(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    from etcd3.etcdrpc import rpc_pb2 as library

    cluster.put(request.key, request.value, request.lease)
    return library.PutResponse()


def _transaction(cluster: EtcdCluster, member: Member, request: Any) -> Any:
    """Transactions that ask whether keys were created in a revision, which is all that clusterup asks."""
    from etcd3.etcdrpc import rpc_pb2 as library

    def holds(compare: Any) -> bool:
        if compare.target != library.Compare.CREATE or compare.result != library.Compare.EQUAL:
            raise Refusal(f"the simulator does not know this comparison: {compare}")
        found = cluster.key(compare.key)
        return bool((found.created if found else 0) == compare.create_revision)

    answer = library.TxnResponse(succeeded=all(map(holds, request.compare)))
    for operation in request.success if answer.succeeded else request.failure:
        if operation.WhichOneof("request") == "request_put":
            answer.responses.add().response_put.CopyFrom(_put(cluster, member, operation.request_put))
        else:
            answer.responses.add().response_range.CopyFrom(_range(cluster, member, operation.request_range))
    return answer


def _grant(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    from etcd3.etcdrpc import rpc_pb2 as library

    return library.LeaseGrantResponse(ID=cluster.grant(request.TTL), TTL=request.TTL)


def _keep_alive(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    from etcd3.etcdrpc import rpc_pb2 as library

    return library.LeaseKeepAliveResponse(ID=request.ID, TTL=cluster.keep_alive(request.ID))


def _time_to_live(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    from etcd3.etcdrpc import rpc_pb2 as library

    return library.LeaseTimeToLiveResponse(ID=request.ID, TTL=cluster.seconds_left(request.ID))


def _revoke(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    from etcd3.etcdrpc import rpc_pb2 as library

    cluster.revoke(request.ID)
    return library.LeaseRevokeResponse()


def _message(member: Member) -> Any:
    return message_classes()["Member"](
        ID=member.id,
        name=member.name,
        peerURLs=[member.peer_url],
        clientURLs=[member.client_url] if member.client_url else [],
        isLearner=member.learner,
    )


def _members(cluster: EtcdCluster, _: Member, __: Any) -> Any:
    return message_classes()["MemberListResponse"](members=map(_message, cluster.members.values()))


def _add(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    if not request.isLearner:
        raise Refusal("the simulator adds learners only")
    made = _message(cluster.add_learner(request.peerURLs[0]))
    return message_classes()["MemberAddResponse"](member=made, members=map(_message, cluster.members.values()))


def _promote(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    cluster.promote(request.ID)
    return message_classes()["MemberPromoteResponse"]()


def _update(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    cluster.members[request.ID].peer_url = request.peerURLs[0]
    for votes in cluster.forgotten.values():
        votes.discard(request.ID)
    return message_classes()["MemberUpdateResponse"]()


def _remove(cluster: EtcdCluster, _: Member, request: Any) -> Any:
    cluster.remove(request.ID)
    return message_classes()["MemberRemoveResponse"]()


def _status(cluster: EtcdCluster, member: Member, _: Any) -> Any:
    leader = next((each.id for each in cluster.members.values() if each.runs and not each.learner), 0)
    return message_classes()["StatusResponse"](
        version=cluster.release,
        dbSize=65536,
        leader=leader if cluster.answers() else 0,
        raftIndex=cluster.revision,
        raftTerm=2,
        raftAppliedIndex=cluster.revision,
        isLearner=member.learner,
    )
