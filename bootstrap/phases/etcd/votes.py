"""Votes that etcd gave and its own data does not know of: written again, before a release that reads them from there.

An update of a member with the addresses that it has already writes its whole entry, on every server. Releases before
`KEEPS_VOTES` leave out the vote, and nothing is done there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bootstrap.clients.etcd import NotSettled
from bootstrap.clients.tunnel import etcd_at
from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import ClusterFacts, EtcdMemberFacts, ForgottenVotes
from bootstrap.facts.votes import voters_without_vote
from bootstrap.image.versions import sorting_key
from bootstrap.releases import KEEPS_VOTES
from bootstrap.state.credentials import OperatorKeys

SETTLE_SECONDS = 120.0


def votes_action(name: str, keys: OperatorKeys) -> Action[ClusterFacts]:
    """The action that makes a server's data know of all votes."""
    return Action(
        id=f"{name}/etcd.votes",
        node=name,
        step="etcd",
        title="write into etcd's data who has a vote",
        check=lambda world: _reason(world, name),
        apply=lambda context: write_votes(context, name, keys),
        needs=(f"{name}/etcd.member",),
        # A change of the membership, of which there is one at a time.
        exclusive="etcd",
    )


def write_votes(context: Context, name: str, keys: OperatorKeys) -> None:
    """Have the votes written that the data of the server `name` does not know of, and wait until it does. Raises
    ClusterupError."""
    with etcd_at(context.on(name), keys) as client:
        members = tuple(
            EtcdMemberFacts(member.id, member.name, member.peer_urls, member.learner) for member in client.members()
        )
    by_id = {member.id: member for member in members}

    def written() -> bool:
        missing = voters_without_vote(context.on(name), members)
        for member in missing:
            context.say(f"writing that {by_id[member].name} has a vote")
            with etcd_at(context.on(name), keys) as client:
                try:
                    client.update(member, by_id[member].peer_urls)
                except NotSettled:
                    return False
        return not missing

    context.wait_until(written, what="the votes in etcd's data", timeout=SETTLE_SECONDS, every=1.0)


def notes_of_votes(world: ClusterFacts) -> Iterator[str]:
    """What a person has to know of servers whose etcd is too old to be mended."""
    for found in world.etcd.forgotten if world.etcd else ():
        if not _keeps(found):
            yield (
                f"etcd {found.etcd} on {found.server} does not keep that {_named(world, found)} "
                f"{'has' if len(found.members) == 1 else 'have'} a vote (etcd issue 19557). Nothing is wrong with it "
                f"now; etcd 3.6 would not start on that data. Run etcd {KEEPS_VOTES} or newer first, then apply: it "
                "writes the votes"
            )


def _reason(world: ClusterFacts, name: str) -> str | None:
    for found in world.etcd.forgotten if world.etcd else ():
        if found.server == name and _keeps(found):
            return f"by its data {_named(world, found)} would be learners for etcd 3.6 (etcd issue 19557)"
    return None


def _keeps(found: ForgottenVotes) -> bool:
    return sorting_key(found.etcd) >= sorting_key(KEEPS_VOTES)


def _named(world: ClusterFacts, found: ForgottenVotes) -> str:
    members: Sequence[EtcdMemberFacts] = world.etcd.members if world.etcd else ()
    return ", ".join(member.name for member in members if member.id in found.members)
