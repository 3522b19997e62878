"""What a node knows of the cluster, and what of that is new."""

from __future__ import annotations

from bootstrap.node.watch.mirror import Change, Mirror


def mirror() -> Mirror[str]:
    return Mirror(lambda: None)


def test_everything_is_new_at_first() -> None:
    known = mirror()
    assert not known.whole
    known.replace({"a": "1", "b": "2"})
    assert known.whole
    assert known.take() == [Change("a", None, "1"), Change("b", None, "2")]
    assert known.take() == []


def test_what_is_not_in_a_later_list_is_gone() -> None:
    known = mirror()
    known.replace({"a": "1", "b": "2"})
    known.take()
    known.replace({"b": "3", "c": "4"})
    assert sorted(known.take(), key=lambda change: change.key) == [
        Change("a", "1", None),
        Change("b", "2", "3"),
        Change("c", None, "4"),
    ]


def test_several_changes_of_one_object_are_one_and_one_that_was_taken_back_is_none() -> None:
    known = mirror()
    known.replace({"a": "1", "b": "2"})
    known.take()
    for value in ("3", "4"):
        known.put("a", value)
    known.put("b", None)
    known.put("b", "2")
    known.put("c", "5")
    known.put("c", None)
    assert known.take() == [Change("a", "1", "4")]


def test_whoever_waits_is_told_of_each_change() -> None:
    told: list[int] = []
    known: Mirror[str] = Mirror(lambda: told.append(1))
    known.replace({})
    known.put("a", "1")
    assert len(told) == 2
