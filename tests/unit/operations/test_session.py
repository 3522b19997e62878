"""What an operation has while it is at work: ways that stay open from the look to the last action, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.connect.entry import Entry
from bootstrap.engine.action import Action, Context
from bootstrap.engine.plan import make_plan
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts
from bootstrap.operations import session as module
from bootstrap.operations.connections import KEPT_OPEN, kept_open
from bootstrap.operations.program import Program
from bootstrap.operations.session import Finished, Session
from bootstrap.phases.prepared import Prepared
from bootstrap.state.cluster import ClusterState
from tests.helpers.local_transport import LocalTransport
from tests.helpers.worlds import facts, inventory

NOTHING = ClusterFacts({"s1": facts()})


@pytest.fixture
def opened() -> list[str]:
    """The nodes that were opened, one after the other."""
    return []


@pytest.fixture
def work(tmp_path: Path, opened: list[str]) -> Iterator[Session]:
    def open_node(node: str) -> LocalTransport:
        opened.append(node)
        return LocalTransport(node)

    entry = Entry(lambda _: open_node, lambda _: open_node)
    made = Session(Program("a test"), inventory(), ClusterState(tmp_path), entry, doing="test", again="test again")
    with made.at_work():
        yield made


def looks(session: Session) -> Prepared:
    def look(_: object) -> ClusterFacts:
        session.connections.on("s1")
        return NOTHING

    return session.looked(look, lambda world: Prepared(world, (), make_plan([], world)))


def uses_s1(context: Context) -> None:
    context.on("s1")


def acts(session: Session, *away: str) -> Finished:
    action: Action[ClusterFacts] = Action("s1/a", "s1", "a", "do it", lambda _: "needed", uses_s1)
    unreachable = {name: ClusterupError("no answer", hint="start it") for name in away}
    return session.carry_out(make_plan([action], NOTHING), unreachable)


def test_a_way_is_opened_once_for_looking_and_acting(work: Session, opened: list[str]) -> None:
    looks(work)
    assert acts(work).exit_code == 0
    assert opened == ["s1"]


def test_a_way_that_no_one_used_for_long_is_opened_again(
    work: Session, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks(work)
    monkeypatch.setattr(module, "IDLE_SECONDS", -1.0)
    acts(work)
    assert opened == ["s1", "s1"]


def test_a_run_that_left_nodes_alone_is_partly_done(work: Session) -> None:
    finished = acts(work, "s2")
    assert (finished.code_of_actions, finished.exit_code) == (0, 3)


def test_few_ways_stay_open_of_many_only_those_that_are_needed_and_none_over_a_console() -> None:
    few = inventory()
    assert kept_open(few, []) == [node.name for node in few.nodes]
    node = few.nodes[-1]
    many = few.model_copy(
        update={"nodes": tuple(node.model_copy(update={"name": f"n{number}"}) for number in range(KEPT_OPEN + 1))}
    )
    assert kept_open(many, ["n7"]) == ["n7"]
    console = node.console.model_copy(update={"url": "/dev/ttyS0", "only": True})
    alone = few.model_copy(update={"nodes": (*few.nodes[:-1], node.model_copy(update={"console": console}))})
    assert node.name not in kept_open(alone, [node.name])
