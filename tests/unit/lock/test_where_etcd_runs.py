"""On which servers an etcd runs that may hold the cluster's lock."""

from __future__ import annotations

import pytest

from bootstrap.constants.paths import ETCD_BIRTH
from bootstrap.facts.model import ClusterFacts, UnitFacts
from bootstrap.lock.guard import etcd_runs
from tests.helpers.worlds import facts


def world(active: str, **changes: object) -> ClusterFacts:
    return ClusterFacts({"s1": facts(kind="installed", units={"etcd.service": UnitFacts(active, None)}, **changes)})


@pytest.mark.parametrize("active", ["active", "activating"])
@pytest.mark.parametrize("told", [{"etcd_data": True}, {"files": {ETCD_BIRTH: "hash"}}])
def test_etcd_runs_where_it_was_started_with_its_data_or_for_the_first_time(
    active: str, told: dict[str, object]
) -> None:
    assert etcd_runs(world(active, **told), "s1")


def test_a_server_that_was_rebooted_before_it_became_a_member_keeps_no_one_waiting_for_its_etcd() -> None:
    assert not etcd_runs(world("activating"), "s1")


def test_an_etcd_that_is_stopped_and_one_on_a_server_that_is_off_do_not_run() -> None:
    assert not etcd_runs(world("failed", etcd_data=True), "s1")
    assert not etcd_runs(world("active", etcd_data=True), "s2")
