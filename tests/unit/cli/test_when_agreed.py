"""While a person reads what would be done, nobody waits for them; what they agreed to is what is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.cli.front import when_agreed
from bootstrap.engine.action import Action
from bootstrap.engine.lock import Patience, file_lock
from bootstrap.engine.plan import make_plan
from bootstrap.errors import ClusterupError, ErrorGroup, Refused
from bootstrap.facts.model import ClusterFacts
from bootstrap.locks import is_held
from bootstrap.phases.prepared import Prepared

WORLD = ClusterFacts({})


def prepared(*names: str, why: str = "it has to be", problems: tuple[ClusterupError, ...] = ()) -> Prepared:
    actions = [Action[ClusterFacts](name, None, "step", f"do {name}", lambda _: why, lambda _: None) for name in names]
    return Prepared(WORLD, problems, make_plan(actions, WORLD))


class Operation:
    """Something that is done under a lock; `finds` is what each look finds."""

    def __init__(self, folder: Path, *finds: Prepared) -> None:
        self.lock = folder / "lock"
        self.finds = list(finds)
        self.done: list[Prepared] = []
        self.held_while_asked: list[bool] = []

    @contextmanager
    def at_work(self) -> Iterator[str]:
        with file_lock(self.lock, "a test", Patience(0.0)):
            yield "work"

    def runs(self, asks: bool) -> None:
        when_agreed(self.at_work, lambda _: self.finds.pop(0), lambda *_: self.asked if asks else None, self.acts)

    def asked(self) -> None:
        self.held_while_asked.append(is_held(self.lock))

    def acts(self, _: str, what: Prepared) -> None:
        assert is_held(self.lock)
        self.done.append(what)


def test_nothing_is_looked_at_twice_where_no_one_is_asked(tmp_path: Path) -> None:
    operation = Operation(tmp_path, prepared("a"))
    operation.runs(asks=False)
    assert len(operation.done) == 1


def test_no_lock_is_held_while_somebody_is_asked(tmp_path: Path) -> None:
    operation = Operation(tmp_path, prepared("a", "b"), prepared("a", "b"))
    operation.runs(asks=True)
    assert operation.held_while_asked == [False]
    assert len(operation.done) == 1


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (prepared("a"), "other now: b"),
        (prepared("a", "b", "c"), "other now: c"),
    ],
)
def test_what_has_changed_meanwhile_is_not_done(tmp_path: Path, now: Prepared, said: str) -> None:
    operation = Operation(tmp_path, prepared("a", "b"), now)
    with pytest.raises(Refused, match="something has changed since you were asked") as refused:
        operation.runs(asks=True)
    assert said in str(refused.value)
    assert operation.done == []


def test_a_problem_that_came_up_meanwhile_is_said(tmp_path: Path) -> None:
    failed = prepared("a", problems=(ClusterupError("a disk has failed", hint="look"),))
    operation = Operation(tmp_path, prepared("a"), failed)
    with pytest.raises(ErrorGroup, match="a disk has failed"):
        operation.runs(asks=True)
    assert operation.done == []


def test_numbers_in_the_words_of_a_plan_may_change(tmp_path: Path) -> None:
    operation = Operation(tmp_path, prepared("a", why="12 pods run on it"), prepared("a", why="13 pods run on it"))
    operation.runs(asks=True)
    assert len(operation.done) == 1
