"""The few messages of etcd's cluster API that the client library does not know: learners, their promotion, leaders.

Built at run time in a pool of their own, beside the library's older ones of the same names.
Source: https://github.com/etcd-io/etcd/blob/main/api/etcdserverpb/rpc.proto
"""

from __future__ import annotations

from functools import cache
from typing import Any

# name of the message -> fields as (name, number, type); a type in capitals is another message, [] repeats it.
MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Member": (
        ("ID", 1, "uint64"),
        ("name", 2, "string"),
        ("peerURLs", 3, "string[]"),
        ("clientURLs", 4, "string[]"),
        ("isLearner", 5, "bool"),
    ),
    "MemberAddRequest": (("peerURLs", 1, "string[]"), ("isLearner", 2, "bool")),
    "MemberAddResponse": (("member", 2, "Member"), ("members", 3, "Member[]")),
    "MemberRemoveRequest": (("ID", 1, "uint64"),),
    "MemberRemoveResponse": (("members", 2, "Member[]"),),
    "MemberPromoteRequest": (("ID", 1, "uint64"),),
    "MemberPromoteResponse": (("members", 2, "Member[]"),),
    "MemberUpdateRequest": (("ID", 1, "uint64"), ("peerURLs", 2, "string[]")),
    "MemberUpdateResponse": (("members", 2, "Member[]"),),
    "MemberListRequest": (("linearizable", 1, "bool"),),
    "MemberListResponse": (("members", 2, "Member[]"),),
    "MoveLeaderRequest": (("targetID", 1, "uint64"),),
    "MoveLeaderResponse": (),
    "StatusRequest": (),
    "StatusResponse": (
        ("version", 2, "string"),
        ("dbSize", 3, "int64"),
        ("leader", 4, "uint64"),
        ("raftIndex", 5, "uint64"),
        ("raftTerm", 6, "uint64"),
        ("raftAppliedIndex", 7, "uint64"),
        ("errors", 8, "string[]"),
        ("isLearner", 10, "bool"),
    ),
}


@cache
def message_classes() -> dict[str, Any]:
    """The classes of `MESSAGES`, by name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    types = descriptor_pb2.FieldDescriptorProto
    kinds = {"uint64": types.TYPE_UINT64, "int64": types.TYPE_INT64, "string": types.TYPE_STRING}
    file = descriptor_pb2.FileDescriptorProto(name="clusterup/etcd.proto", package="etcdserverpb", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            plain = kind.removesuffix("[]")
            field = message.field.add(name=field_name, number=number)
            field.label = types.LABEL_REPEATED if kind.endswith("[]") else types.LABEL_OPTIONAL
            if plain in MESSAGES:
                field.type, field.type_name = types.TYPE_MESSAGE, f".etcdserverpb.{plain}"
            else:
                field.type = types.TYPE_BOOL if plain == "bool" else kinds[plain]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call, unused-ignore]
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"etcdserverpb.{name}")) for name in MESSAGES
    }
