"""clusterup doctor, as a user types it: nothing is changed, and everything that is wrong is said."""

from __future__ import annotations

import json

from tests.integration.cli.test_plan_and_apply import Operator, operator

__all__ = ["operator"]


def test_before_a_cluster_is_made_it_says_what_stands_in_the_way(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    done = operator.types("doctor", "lab.yaml")
    assert done.returncode == 3, done.stderr
    assert "fault: s1: plan: it has no disk /dev/nonesuch" in done.stdout
    assert "next: set `disk:` to one of these" in done.stdout
    assert "warning: s1: plan: it is not as the inventory says" in done.stdout
    assert "clusterup apply lab.yaml mends it" in done.stdout
    assert not (operator.folder / "state").exists()


def test_it_speaks_json(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    done = operator.types("doctor", "lab.yaml", "-o", "json")
    said = json.loads(done.stdout)
    assert said["faults"] >= 1
    assert said["looked_at"]["s1"] == ["the way into it", "what it is"]
    assert {"weight", "where", "about", "what", "why", "mend"} == said["findings"][0].keys()


def test_where_no_machine_answers_it_ends_with_1_and_says_why(operator: Operator) -> None:
    operator.inventory(port=1)
    done = operator.types("doctor", "lab.yaml")
    assert done.returncode == 1, done.stderr
    assert "fault: s1: the way into it:" in done.stdout
    assert "the cluster: plan\n" in done.stdout
