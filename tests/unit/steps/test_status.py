"""When a cluster counts as healthy, and what a person sees of it."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from bootstrap.steps.status import ApiHealth, ClusterStatus, MemberHealth, NodeStatus
from bootstrap.ui.status import print_status

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
        dataclasses.replace(HEALTHY, api=(dataclasses.replace(SERVER, ready=False),)),
    ],
    ids=["node not ready", "no etcd", "learner", "silent member", "API server not ready"],
)
def test_one_thing_that_is_not_well_makes_it_unhealthy(changed: ClusterStatus) -> None:
    assert not changed.healthy


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
