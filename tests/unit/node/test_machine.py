"""The machine that joins: files are written whole or not at all, and units restart when they should and not else."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.constants.paths import APPLIED_FOLDER
from bootstrap.node import machine as own_machine
from bootstrap.node.machine import Machine, begin, start, write
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.files import NodeFile

PATH = "/etc/kubernetes/kubelet.yaml"


@dataclass(frozen=True)
class Unit:
    name: str = "kubelet.service"
    digest: str = "d" * 64


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, lambda _: None)


def test_a_file_is_written_once_with_its_mode(machine: Machine) -> None:
    secret = NodeFile(PATH, b"secret", 0o600)
    assert write(machine, secret)
    assert not write(machine, secret)
    place = machine.place(PATH)
    assert (place.read_bytes(), place.stat().st_mode & 0o7777) == (b"secret", 0o600)
    assert [each.name for each in place.parent.iterdir()] == ["kubelet.yaml"]


@pytest.mark.parametrize("other", [NodeFile(PATH, b"new", 0o600), NodeFile(PATH, b"old", 0o644)])
def test_another_content_or_another_mode_is_written(machine: Machine, other: NodeFile) -> None:
    write(machine, NodeFile(PATH, b"old", 0o600))
    assert write(machine, other)
    assert not write(machine, other)


def test_a_power_cut_before_the_end_leaves_the_old_file(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    write(machine, NodeFile(PATH, b"old"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError("the power went")))
        with pytest.raises(OSError, match="the power went"):
            write(machine, NodeFile(PATH, b"new"))
    assert machine.place(PATH).read_bytes() == b"old"
    assert write(machine, NodeFile(PATH, b"new"))


@dataclass
class Systemd:
    """As much of systemctl as is asked: whether the unit is active, and its sub-state."""

    active: bool
    sub: str
    restarted: list[str]


def systemd(monkeypatch: pytest.MonkeyPatch, *, active: bool = False, sub: str = "dead") -> Systemd:
    of = Systemd(active, sub, [])
    monkeypatch.setattr(own_machine, "active", lambda _: of.active)
    monkeypatch.setattr(own_machine, "_state", lambda _: of.sub)
    monkeypatch.setattr(own_machine, "run", lambda *argv, **_: of.restarted.append(" ".join(argv)))
    return of


RESTART = ["systemctl restart --no-block kubelet.service"]


OURS = Unit().digest


@pytest.mark.parametrize(
    ("digests", "sub", "did"),
    [
        ({"kubelet.service": OURS}, "running", []),
        ({"kubelet.service": OURS}, "dead", RESTART),
        ({"kubelet.service": "other"}, "running", RESTART),
        ({}, "running", RESTART),
        ({".kubelet.service": OURS}, "start-pre", []),
        ({".kubelet.service": "other"}, "start-pre", RESTART),
        ({".kubelet.service": OURS}, "dead", RESTART),
    ],
    ids=[
        *("runs with it", "does not run", "runs with another", "no one knows with what"),
        *("starts with it", "starts with another", "a start that has ended"),
    ],
)
def test_a_unit_restarts_exactly_when_it_does_not_run_with_what_it_should(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, digests: dict[str, str], sub: str, did: list[str]
) -> None:
    of = systemd(monkeypatch, active=sub == "running", sub=sub)
    for name, digest in digests.items():
        place = machine.place(f"{APPLIED_FOLDER}/{name}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{digest}  -\n")
    begin([Unit()], machine)
    assert of.restarted == did


def test_a_unit_that_does_not_start_is_named_with_what_systemd_says(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd(monkeypatch)

    def fails(*argv: str, seconds: float = 0) -> None:
        if argv[1] == "start":
            raise subprocess.CalledProcessError(1, argv, stderr=b"Job for kubelet.service failed.\n")

    monkeypatch.setattr(own_machine, "run", fails)
    with pytest.raises(Failure) as failed:
        start([Unit()], machine)
    assert failed.value.problem == "kubelet.service does not start"
    assert failed.value.got == "Job for kubelet.service failed."
    assert failed.value.passing
