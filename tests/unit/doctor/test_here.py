"""What is wrong on the operator's own machine, and what a plan says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bootstrap.doctor.examine import examined
from bootstrap.doctor.findings import CLUSTER, HERE, Examined, Weight, fault, of_error, warning, worst_first
from bootstrap.doctor.here import judged_here
from bootstrap.doctor.person import Person
from bootstrap.engine.connections import Connections
from bootstrap.errors import ClusterupError, ErrorGroup
from bootstrap.transport.base import Transport
from bootstrap.transport.errors import TransportError
from tests.helpers.worlds import intent

NOW = datetime.now(UTC)
PERSON = Person("lab.yaml")


def test_a_machine_that_has_everything_is_well(tmp_path: Path) -> None:
    assert list(judged_here(intent(tmp_path), NOW)) == []


def test_authorities_that_end_are_said_in_time(tmp_path: Path) -> None:
    of = intent(tmp_path)
    in_nine_years, later = NOW + timedelta(days=365 * 9 + 10), NOW + timedelta(days=365 * 11)
    soon = [each for each in judged_here(of, in_nine_years) if each.about == "authorities"]
    ended = [each for each in judged_here(of, later) if each.about == "authorities"]
    assert [each.weight for each in soon] == [Weight.WARNING] * 3
    assert [each.weight for each in ended] == [Weight.FAULT] * 3


def test_programs_that_apply_wants_are_named_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.host.programs.found", lambda name: None)
    found = [each for each in judged_here(intent(tmp_path), NOW) if each.about == "programs"]
    assert [each.what for each in found] == ["mcopy is missing", "mformat is missing", "ssh is missing"]
    assert all("install" in each.mend for each in found)


def test_machines_that_do_not_answer_are_faults_and_keep_nothing_else_from_being_said(tmp_path: Path) -> None:
    of = intent(tmp_path)
    asked: list[str] = []

    def no_way(node: str) -> Transport:
        asked.append(node)
        raise TransportError("it does not answer", node=node, step="connect", got="no route", hint="switch it on")

    before = {file: file.read_bytes() for file in of.state.folder.rglob("*") if file.is_file()}
    found = examined(of, Connections(no_way), PERSON, parallel=4, now=NOW)
    assert {each.where for each in found.findings if each.about == "the way into it"} == {"s1", "s2", "s3", "a1"}
    assert set(asked) == {"s1", "s2", "s3", "a1"}
    assert found.none_reached
    assert found.faults >= 4
    assert {where for where, _ in found.looked_at} == {HERE, CLUSTER, "s1", "s2", "s3", "a1"}
    assert {file: file.read_bytes() for file in of.state.folder.rglob("*") if file.is_file()} == before


def test_what_nobody_expects_of_a_part_keeps_nothing_else_from_being_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ValueError("odd")

    def no_way(node: str) -> Transport:
        raise TransportError("it does not answer", node=node, step="connect", hint="switch it on")

    of = intent(tmp_path)
    of.state.note_founded()
    monkeypatch.setattr("bootstrap.doctor.examine.status_of", broken)
    monkeypatch.setattr("bootstrap.doctor.examine.prepare", broken)
    found = examined(of, Connections(no_way), PERSON, parallel=4, now=NOW)
    assert {each.about for each in found.findings if "odd" in each.why} == {"etcd", "plan"}
    assert sum(each.about == "the way into it" for each in found.findings) == 4


def test_several_errors_are_several_findings_each_on_its_node() -> None:
    first = ClusterupError("the first", hint="mend it", node="s1", tried="looked", got="nothing")
    second = ClusterupError("the second", hint="mend that")
    found = list(of_error(ErrorGroup([first, second]), CLUSTER, "plan"))
    assert found == [
        fault("s1", "plan", "the first", why="looked; nothing", mend="mend it"),
        fault(CLUSTER, "plan", "the second", why="", mend="mend that"),
    ]


def test_faults_come_first_and_nothing_is_said_twice() -> None:
    small = warning("s1", "clock", "slow", why="", mend="")
    great = fault("s2", "disks", "full", why="", mend="")
    assert worst_first([small, great, small]) == (great, small)
    assert Examined((great, small), (), none_reached=False).as_data()["faults"] == 1
