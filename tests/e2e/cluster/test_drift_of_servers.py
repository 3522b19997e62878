"""What differs on a server in its keys, its units and its part in the quorum is fixed, too."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bootstrap.constants.paths import ETCD_DATA
from bootstrap.operations.reading import intent_of_file
from bootstrap.pki.x509 import Usage, issue
from tests.e2e.cluster.fixing import fix
from tests.e2e.cluster.members import every_server_votes, remove_member
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS

pytestmark = pytest.mark.e2e
ONE, TWO, THREE = SERVERS
# Those that end by themselves when they can't renew their lease in time, as without an etcd beside them on a slow
# machine, and are started again by systemd.
WITH_LEASES = {f"{THREE}/kube-{name}.service" for name in ("controller-manager", "scheduler")}


def test_a_unit_that_somebody_stopped_runs_again(cluster: Operator) -> None:
    cluster.runs_on(TWO, "systemctl stop kube-proxy")
    fixed = fix(cluster)
    assert fixed.done == (f"{TWO}/join",)
    assert fixed.restarted == {f"{TWO}/kube-proxy.service"}


def test_a_key_that_was_opened_to_all_is_closed_again(cluster: Operator) -> None:
    cluster.runs_on(ONE, "chmod 0644 /etc/kubernetes/pki/apiserver.key")
    fixed = fix(cluster)
    assert (fixed.done, fixed.restarted) == ((f"{ONE}/files",), frozenset())
    assert cluster.runs_on(ONE, "stat -c %a /etc/kubernetes/pki/apiserver.key").strip() == "600"


def test_a_certificate_near_its_end_is_made_again_for_what_reads_it(cluster: Operator) -> None:
    intent = intent_of_file(cluster.inventory, None)
    old = issue(
        intent.keys.pki.front_proxy, common_name="front-proxy-client", usage=Usage.CLIENT, valid=timedelta(days=20)
    )
    kept = intent.state.pki_folder / "nodes" / TWO
    (kept / "front-proxy-client.crt").write_bytes(old.cert_pem)
    (kept / "front-proxy-client.key").write_bytes(old.key_pem)
    fixed = fix(cluster)
    assert fixed.done == ("cluster/keys", f"{TWO}/files", f"{TWO}/control-plane")
    # The two that talk to it may begin again by themselves while it is away, as they do when they lose their lease.
    beside = {f"{TWO}/kube-controller-manager.service", f"{TWO}/kube-scheduler.service"}
    assert fixed.restarted - beside == {f"{TWO}/kube-apiserver.service"}


def test_a_member_that_was_removed_from_the_quorum_becomes_one_again_and_its_old_data_is_kept(
    cluster: Operator,
) -> None:
    before = data_set_aside(cluster)
    remove_member(cluster, THREE)
    fixed = fix(cluster)
    assert f"{THREE}/etcd.member" in fixed.done
    assert fixed.restarted - WITH_LEASES == {f"{THREE}/etcd.service"}
    assert len(data_set_aside(cluster) - before) == 1
    every_server_votes(cluster)


def data_set_aside(cluster: Operator) -> set[str]:
    """The folders of data that the third server had as a member that was removed."""
    listed = f'find "$(dirname {ETCD_DATA})" -maxdepth 1 -name "$(basename {ETCD_DATA}).removed-*"'
    return {*cluster.runs_on(THREE, listed).split()}
