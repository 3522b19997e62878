"""A plan in a file, and what keeps it from being done."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import pytest

from bootstrap.engine.action import Action
from bootstrap.engine.plan import make_plan
from bootstrap.engine.saved import SavedPlan, read_plan, require_unmoved, saved_plan, write_plan
from bootstrap.errors import BadUse, Refused

FACTS = {"s1": {"file /etc/hosts": "aaaa", "payload": "none"}}


def action(name: str, why: str = "it is not there") -> Action[None]:
    return Action(name, "s1", "files", f"do {name}", lambda _: why, lambda _: None)


def saved(*actions: Action[None], facts: dict[str, dict[str, str]] = FACTS) -> SavedPlan:
    return saved_plan(make_plan(actions, None), about={"bundle": "1"}, facts=facts)


def refusal(before: SavedPlan, now: SavedPlan) -> str:
    with pytest.raises(Refused) as refused:
        require_unmoved(before, now, Path("plan.json"))
    assert refused.value.exit_code == 4
    return str(refused.value)


def test_what_is_saved_is_read_back_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    made = saved(action("s1/files"), action("s1/runtime"))
    write_plan(tmp_path / "plan.json", made)
    assert read_plan(tmp_path / "plan.json") == made
    assert stat.S_IMODE((tmp_path / "plan.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_plan_is_done_while_everything_is_as_it_was(tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.json", saved(action("s1/files")))
    require_unmoved(read_plan(tmp_path / "plan.json"), saved(action("s1/files")), tmp_path / "plan.json")


def test_everything_that_has_moved_is_named() -> None:
    now = saved(
        action("s1/files", "it is another one"),
        action("s1/join"),
        facts={"s1": {"file /etc/hosts": "bbbb", "payload": "none"}, "s2": {"the way in": "none: no answer"}},
    )
    text = refusal(saved(action("s1/files"), action("s1/runtime")), dataclasses.replace(now, about={"bundle": "2"}))
    assert "bundle was 1, is 2" in text
    assert "s1: file /etc/hosts was aaaa, is bbbb" in text
    assert "s2: the way in was nothing, is none: no answer" in text
    assert "for another reason: s1/files (it is not there; now: it is another one)" in text
    assert "no longer to be done: s1/runtime (do s1/runtime)" in text
    assert "to be done as well: s1/join (do s1/join)" in text
    assert "payload" not in text


@pytest.mark.parametrize("content", ["", "{}", '{"format": 99}', "[]", '{"format": 1, "about": {}}'])
def test_what_is_no_plan_is_refused_with_the_way_to_make_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(BadUse, match="is not a plan that was saved") as refused:
        read_plan(tmp_path / "plan.json")
    assert "--out" in refused.value.hint


def test_a_plan_that_is_not_there_and_a_folder_that_is_not_there_are_errors_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="is not a plan"):
        read_plan(tmp_path / "none.json")
    with pytest.raises(BadUse, match="can't be written"):
        write_plan(tmp_path / "nowhere" / "plan.json", saved())
