"""Members of the quorum that somebody takes out by hand."""

from __future__ import annotations

from bootstrap.clients.etcd import NotSettled
from bootstrap.clients.tunnel import etcd_at
from bootstrap.engine.events import unobserved
from bootstrap.operations.connections import connections_of
from bootstrap.operations.reading import intent_of_file
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS
from tests.helpers.daemons import wait_for


def remove_member(cluster: Operator, name: str) -> None:
    """What somebody does with `etcdctl member remove`; afterwards the others have got over it."""
    others = {*SERVERS} - {name}
    intent = intent_of_file(cluster.inventory, None)

    def removed() -> bool:
        with (
            connections_of(intent, unobserved) as connections,
            etcd_at(connections.on(min(others)), intent.keys) as client,
        ):
            ids = [member.id for member in client.members() if member.name == name]
            try:
                for each in ids:
                    client.remove(each)
            except NotSettled:
                return False
        return True

    def settled() -> bool:
        status = cluster.status()
        well = {member["name"] for member in status["etcd"] if member["voter"] and not member["problem"]}
        led = any(member["leader"] for member in status["etcd"])
        return led and well == others and {server["node"] for server in status["api"] if server["ready"]} >= others

    wait_for(removed, "etcd to remove a member", 120)
    wait_for(settled, "the other members to go on", 300)


def every_server_votes(cluster: Operator) -> None:
    wait_for(lambda: bool(cluster.status()["healthy"]), "the cluster to be healthy", 300)
    voters = {found["name"] for found in cluster.status()["etcd"] if found["voter"]}
    assert voters == set(SERVERS)
