"""What is forgotten when a cluster was taken apart, what an apply says of its remains, when a disk counts as erased."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bootstrap.constants.paths import CLEANING
from bootstrap.errors import ClusterupError
from bootstrap.facts.node import parse_facts
from bootstrap.operations.planning import prepare
from bootstrap.phases.reset.leftovers import left_over
from bootstrap.phases.reset.reset import half_clean, is_clean, wipe_node
from bootstrap.state.cluster import INSTALLED
from bootstrap.state.membership import note_applied, read_membership
from bootstrap.transport.base import Command, Result
from bootstrap.transport.errors import HostKeyMismatch, TransportError
from tests.helpers.local_transport import LocalTransport
from tests.helpers.one_node import OneNode
from tests.helpers.worlds import finished_world, intent

WHOEVER = "hostname\ts1\nmachine_id\t\nboot_id\tb\narchitecture\tx86_64\nclock\t0\nmemory\t1\ncpus\t1\n"
INSTALLED_NODE = WHOEVER + "image\tclusterup\tos\t1\n{}end\n"


def test_a_node_without_traces_is_clean_and_one_with_the_mark_half_so() -> None:
    clean = parse_facts(INSTALLED_NODE.format(""), node="s1", at=0.0)
    half = parse_facts(INSTALLED_NODE.format(f"trace\t{CLEANING}\n"), node="s1", at=0.0)
    assert (is_clean(clean), half_clean(clean)) == (True, False)
    assert (is_clean(half), half_clean(half)) == (False, True)


def test_a_life_that_ended_leaves_its_fingerprint_and_another_authority_comes_next(tmp_path: Path) -> None:
    state = (before := intent(tmp_path)).state
    state.note_founded()
    state.note_handover("x")
    state.note_ending()
    state.forget_life()
    assert state.past_lives == [hashlib.sha256(before.keys.pki.ca.cert_pem).hexdigest()]
    assert (state.founded, state.handovers, state.ending_note.exists()) == (False, [], False)
    after = intent(tmp_path)
    assert after.keys.pki.ca.cert_pem != before.keys.pki.ca.cert_pem
    assert after.keys.pki.etcd.cert_pem != before.keys.pki.etcd.cert_pem
    assert (after.state.cluster_id, after.state.ssh_key) == (before.state.cluster_id, before.state.ssh_key)
    assert after.state.identity("s1") == before.state.identity("s1")


def test_who_was_applied_in_a_life_that_ended_has_not_left_the_next_one(tmp_path: Path) -> None:
    before = intent(tmp_path)
    note_applied(before.state, before.inventory.nodes)
    before.state.forget_life()
    assert read_membership(before.state) is None


def test_to_forget_a_life_again_changes_nothing(tmp_path: Path) -> None:
    state = intent(tmp_path).state
    state.forget_life()
    past = state.past_lives
    state.forget_life()
    assert state.past_lives == past


def test_of_a_wiped_node_no_key_is_expected_until_it_is_installed_again(tmp_path: Path) -> None:
    state = intent(tmp_path).state
    state.host_keys.pin("s1", INSTALLED, state.identity("s1").host_key.public)
    state.note_installed("s1")
    state.note_wiped("s1")
    assert (state.was_wiped("s1"), state.was_installed("s1"), state.host_keys.pinned("s1")) == (True, False, {})
    state.note_installed("s1")
    assert (state.was_wiped("s1"), state.was_installed("s1")) == (False, True)


def test_the_journal_is_all_that_is_kept_when_no_node_is_left(tmp_path: Path) -> None:
    state = intent(tmp_path).state
    state.journal.write_text("{}\n")
    state.forget_all_but_the_journal()
    assert [path.name for path in state.folder.iterdir()] == ["journal.jsonl"]
    assert not state.known


def test_an_apply_is_refused_on_what_is_left_of_an_earlier_life_alone(tmp_path: Path) -> None:
    old = finished_world(intent(tmp_path))
    intent(tmp_path).state.forget_life()
    now = intent(tmp_path)
    world = finished_world(now)
    world = replace(world, seen={**world.seen, "s3": old.nodes["s3"]})
    (problem,) = prepare(now, world, wipe=frozenset()).problems
    assert (problem.node, problem.exit_code) == ("s3", 4)
    assert "clusterup down --only s3" in problem.hint


def test_a_certificate_that_somebody_edited_makes_no_earlier_life(tmp_path: Path) -> None:
    now = intent(tmp_path)
    world = finished_world(now)
    files = {
        path: "edited" if path.endswith("pki/ca.crt") else digest for path, digest in world.nodes["s1"].files.items()
    }
    world = replace(world, seen={**world.seen, "s1": replace(world.nodes["s1"], files=files)})
    assert left_over(world, now.state.cluster_id, now.state.past_lives) == []


@dataclass
class Breaking(LocalTransport):
    """A way into a node that is lost when its disk is being erased, or `holds`; what it answers when it is asked who it
    is: `says` at first, `then` when it was lost."""

    then: Callable[[], str] = lambda: "here 0 os"
    says: Callable[[], str] = lambda: "here 0 os"
    holds: bool = False
    lost: bool = False
    asked: list[str] = field(default_factory=list)

    def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        self.asked.append(command.name)
        if command.name == "erase the disk" and not self.holds:
            self.lost = True
            raise TransportError("the connection was lost", node="s1", hint="again")
        if command.name != "look at the running system":
            said = {"look for the system's disk": "disk /dev/vda 1048576\nstart 512 esp\n"}.get(command.name, "")
        else:
            said = self.then() if self.lost else self.says()
        return Result(command, 0, said.encode(), b"", 0.0)


@dataclass
class Context(OneNode):
    """A context in which nothing that is waited for takes time; what fails has failed for as long as it may."""

    transport: Breaking

    def leave(self, node: str) -> None:
        self.transport.asked.append("left")

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout: float, every: float) -> None:
        while not condition():
            pass


def _raise(error: ClusterupError) -> str:
    raise error


@pytest.mark.parametrize(
    "then",
    [
        lambda: "another-boot live",
        lambda: _raise(HostKeyMismatch("another host key", node="s1", hint="look")),
        lambda: _raise(TransportError("no route", node="s1", hint="look")),
    ],
    ids=["another system", "another host key", "silence"],
)
def test_a_machine_that_is_not_there_as_before_has_lost_its_disk(then: Callable[[], str]) -> None:
    way = Breaking(then=then)
    wipe_node(Context(way), "s1")
    assert way.asked[-1] == "left"
    assert "make the disks read-only" in way.asked


def test_a_machine_that_was_wiped_and_is_about_to_restart_is_waited_for() -> None:
    answers = ["here 0 os", "here 0 os", "here 0 os", "another-boot live"]
    way = Breaking(says=lambda: answers.pop(0), holds=True)
    wipe_node(Context(way), "s1")
    assert answers == []
    assert way.asked[-1] == "left"


def test_a_machine_that_is_there_as_before_was_not_wiped() -> None:
    with pytest.raises(TransportError, match="the connection was lost"):
        wipe_node(Context(Breaking()), "s1")
