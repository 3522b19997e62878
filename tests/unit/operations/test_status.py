"""When a cluster counts as healthy, and what a person sees of it."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bootstrap.constants.objects import LEAVING_ANNOTATION
from bootstrap.operations.status import (
    ApiHealth,
    ClusterStatus,
    MemberHealth,
    NodeStatus,
    _alarms_of_nobody,
    _Answer,
    _members,
    _others,
)
from bootstrap.state.membership import note_applied
from bootstrap.ui.status import print_status
from tests.helpers.worlds import finished_world, intent

NODE = NodeStatus("s1", "server", "10.77.0.11", "Ready", "0.1.0", "v1.20.2")
MEMBER = MemberHealth("s1", voter=True, leader=True, lag=0, db_size=2_000_000, version="3.5.16")
SERVER = ApiHealth("s1", ready=True, version="v1.20.2")
HEALTHY = ClusterStatus("lab", (NODE,), (MEMBER,), (SERVER,))


def test_ready_nodes_voting_members_and_ready_servers_make_a_healthy_cluster() -> None:
    assert HEALTHY.healthy
    assert HEALTHY.as_data()["healthy"] is True


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(HEALTHY, nodes=(dataclasses.replace(NODE, state="NotReady"),)),
        dataclasses.replace(HEALTHY, etcd=()),
        dataclasses.replace(HEALTHY, etcd=(dataclasses.replace(MEMBER, voter=False),)),
        dataclasses.replace(HEALTHY, etcd=(dataclasses.replace(MEMBER, lag=None),)),
        dataclasses.replace(HEALTHY, etcd=(dataclasses.replace(MEMBER, alarms=("NOSPACE",)),)),
        dataclasses.replace(HEALTHY, alarms=("NOSPACE of 77, which is no member any more",)),
        dataclasses.replace(HEALTHY, api=(dataclasses.replace(SERVER, ready=False),)),
    ],
    ids=["node not ready", "no etcd", "learner", "silent member", "alarm", "old alarm", "API server not ready"],
)
def test_one_thing_that_is_not_well_makes_it_unhealthy(changed: ClusterStatus) -> None:
    assert not changed.healthy


def test_nodes_that_the_inventory_does_not_have_are_seen_and_who_is_leaving(tmp_path: Path) -> None:
    of = intent(tmp_path)
    note_applied(of.state, [of.inventory.node("a1").model_copy(update={"name": "former"})])
    world = finished_world(of)
    assert world.api is not None
    found: dict[str, Any] = {
        "former": {"metadata": {"annotations": {LEAVING_ANNOTATION: "2024-05-01T10:00:00+00:00"}}},
        "guest": {"status": {"addresses": [{"type": "InternalIP", "address": "10.77.0.99"}]}},
    }
    api = dataclasses.replace(
        world.api,
        ready={**world.api.ready, "former": True, "guest": False},
        objects={**world.api.objects, **{f"Node/{name}": node for name, node in found.items()}},
    )
    former, guest = _others(of, dataclasses.replace(world, api=api))
    assert former.note == (
        "leaving since 2024-05-01T10:00:00+00:00; not in the inventory: `clusterup apply --prune` removes it"
    )
    assert (guest.address, guest.state) == ("10.77.0.99", "NotReady")
    assert guest.note == "not in the inventory: joined with a token"


def test_an_alarm_that_every_member_tells_of_is_that_of_the_member_which_raises_it(tmp_path: Path) -> None:
    world = finished_world(intent(tmp_path))
    assert world.etcd is not None
    (first, second, third) = world.etcd.members
    said = (f"memberID:{second.id} alarm:NOSPACE ", "memberID:77 alarm:CORRUPT ", "etcdserver: no leader")
    answers = {each.name: _Answer(each.id, first.id, 5, 1, "3.6.9", said) for each in (first, second, third)}
    found = {each.name: each.alarms for each in _members(intent(tmp_path), world, answers)}
    assert found == {first.name: (), second.name: ("NOSPACE",), third.name: ()}
    assert _alarms_of_nobody(world, answers) == ("CORRUPT of 4d, which is no member any more",)


def test_a_learner_is_seen_to_be_joining_and_notes_of_nodes_are_shown() -> None:
    learner = MemberHealth("s2", voter=False, leader=False, lag=3, db_size=1, version="3.5.16")
    guest = dataclasses.replace(NODE, name="guest", note="not in the inventory: joined with a token")
    screen = io.StringIO()
    print_status(
        dataclasses.replace(HEALTHY, nodes=(NODE, guest), etcd=(MEMBER, learner)), Console(file=screen, width=140)
    )
    assert "learner, joining" in screen.getvalue()
    assert "not in the inventory: joined with a token" in screen.getvalue()


def test_a_person_sees_leader_lag_and_what_is_wrong() -> None:
    away = dataclasses.replace(NODE, name="s2", state="unreachable", problem="10.77.0.12 did not answer")
    behind = MemberHealth("s2", voter=True, leader=False, lag=12, db_size=1, version="3.5.16")
    screen = io.StringIO()
    status = dataclasses.replace(HEALTHY, nodes=(NODE, away), etcd=(MEMBER, behind))
    print_status(status, Console(file=screen, width=140))
    shown = screen.getvalue()
    assert "10.77.0.12 did not answer" in shown
    assert "not healthy" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["s1", "leader", "0", "2.0", "MB", "3.5.16"] in rows
    assert ["s2", "voter", "12", "0.0", "MB", "3.5.16"] in rows
