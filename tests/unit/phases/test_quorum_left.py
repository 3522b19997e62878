"""The arithmetic of a server that leaves."""

from __future__ import annotations

import pytest

from bootstrap.phases.etcd.quorum import quorums_left


@pytest.mark.parametrize(
    ("voters", "well", "holds", "said"),
    [
        (3, 2, True, "3 members, 2 needed; without s1: 2 members, 2 needed, 2 answer"),
        (3, 1, False, "3 members, 2 needed; without s1: 2 members, 2 needed, 1 answers"),
        (2, 1, True, "2 members, 2 needed; without s1: 1 member, 1 needed, 1 answers"),
        (2, 0, False, "2 members, 2 needed; without s1: 1 member, 1 needed, 0 answer"),
        (5, 3, True, "5 members, 3 needed; without s1: 4 members, 3 needed, 3 answer"),
        (5, 2, False, "5 members, 3 needed; without s1: 4 members, 3 needed, 2 answer"),
        (1, 0, False, "1 member, 1 needed; without s1: 0 members, 0 needed, 0 answer"),
    ],
)
def test_those_that_are_left_and_answer_have_to_be_a_quorum(voters: int, well: int, holds: bool, said: str) -> None:
    names = [f"s{n}" for n in range(1, voters + 1)]
    left = quorums_left(names, ["s1"], names[1 : 1 + well])["s1"]
    assert left.holds is holds
    assert str(left) == said


def test_several_leave_one_after_the_other_each_from_what_the_one_before_has_left() -> None:
    left = quorums_left(["s1", "s2", "s3"], ["s3", "s2"], ["s1"])
    assert not left["s3"].holds
    assert left["s2"].holds
    assert str(left["s2"]) == "2 members, 2 needed; without s2: 1 member, 1 needed, 1 answers"


def test_a_learner_takes_no_vote_away() -> None:
    assert quorums_left(["s1"], ["s2"], ["s1"]) == {}
