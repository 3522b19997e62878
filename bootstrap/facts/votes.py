"""Which votes a server's own data of etcd does not know of.

etcd before 3.5.20 wrote a learner's promotion into its older store alone. etcd 3.6 reads the other one, and takes such
a voter for a learner again: https://github.com/etcd-io/etcd/issues/19557. A newer 3.5 that is started on such data does
not mend all of it by itself: a member that starts has its own entry written anew, by those that run the newer release
by then. After three servers were updated one after the other, the third still has the second as a learner.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from bootstrap.clients.tunnel import etcd_at
from bootstrap.engine.connections import Connections
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import EtcdFacts, EtcdMemberFacts, ForgottenVotes
from bootstrap.outside import parsed_json
from bootstrap.state.credentials import OperatorKeys
from bootstrap.transport.base import Command, Transport

READ_STORE = Command("read which members etcd's data has", "python3 -I -")


def forgotten_votes(
    quorum: EtcdFacts | None, servers: Sequence[str], ways: Connections, keys: OperatorKeys
) -> tuple[ForgottenVotes, ...]:
    """What the data of those servers does not know of the members' votes. Servers that give no answer are left out. One
    member alone was never promoted, and nobody is asked."""
    if quorum is None or len(quorum.members) < 2:
        return ()

    def ask(server: str) -> ForgottenVotes | None:
        try:
            way = ways.on(server)
            ids = voters_without_vote(way, quorum.members)
            return ForgottenVotes(server, _release(way, keys), ids) if ids else None
        except Exception:
            # Whoever can't be asked is not well, which others say.
            return None

    with asking(8, "votes") as pool:
        return tuple(found for found in pool.map(ask, servers) if found is not None)


def voters_without_vote(way: Transport, members: Sequence[EtcdMemberFacts]) -> tuple[int, ...]:
    """The ids of members that have a vote and are learners by the data of the server that `way` leads to. Raises
    ClusterupError where that can't be read."""
    result = way.check(READ_STORE, stdin=_program(), timeout=60)
    try:
        learners = {int(member, 16) for member, learner in parsed_json(result.text).items() if learner}
    except (ValueError, AttributeError):
        raise ClusterupError(
            "what its etcd keeps can't be understood",
            node=way.node,
            step="etcd",
            tried=READ_STORE.name,
            got=result.text,
            hint="run the command again; if it stays, look at what Python on that server prints",
        ) from None
    return tuple(member.id for member in members if not member.learner and member.id in learners)


def _release(way: Transport, keys: OperatorKeys) -> str:
    with etcd_at(way, keys) as client:
        return client.status().version


@cache
def _program() -> bytes:
    return (files("bootstrap.facts") / "stored_members.py").read_bytes()
