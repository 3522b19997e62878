"""What the services of a node need before they run, and what their running brings about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from bootstrap.constants.paths import ETCD_BIRTH, ETCD_PKI, IMAGES_FOLDER, KUBELET_CERTIFICATE, UNIT_FOLDER
from bootstrap.constants.ports import API_PORT, ETCD_CLIENT_PORT, ETCD_PEER_PORT
from tests.simulator.api_server import serve_api
from tests.simulator.etcd_server import serve_etcd
from tests.simulator.machines.kubelet import why_no_certificate

if TYPE_CHECKING:
    from tests.simulator.etcd_cluster import EtcdCluster, Member
    from tests.simulator.machines.node import SimulatedMachine

ETCD, API_SERVER, KUBELET = "etcd.service", "kube-apiserver.service", "kubelet.service"
_NAME = re.compile(r"--name=(\S+)")


def begins(machine: SimulatedMachine, unit: str) -> str | None:
    """None where the unit runs now, or why it does not."""
    if machine.merged is None:
        return "there is no payload"
    rule = RULES.get(unit)
    return None if rule is None else rule(machine)


def ends(machine: SimulatedMachine, unit: str) -> None:
    """A unit was stopped, or the machine was."""
    if unit == ETCD and (member := member_on(machine)) is not None:
        member.runs = False
    port = {ETCD: ETCD_CLIENT_PORT, API_SERVER: API_PORT}.get(unit)
    if port is not None and machine.ports.pop(port, None) is not None:
        machine.site.servers.pop((machine.name, port))()


def member_on(machine: SimulatedMachine) -> Member | None:
    """The etcd member whose data is on a machine, where its cluster still knows it."""
    return None if machine.etcd is None else machine.etcd.cluster.members.get(machine.etcd.member)


def _etcd_begins(machine: SimulatedMachine) -> str | None:
    if machine.etcd is None and (problem := _born(machine)) is not None:
        return problem
    assert machine.etcd is not None
    cluster, member = machine.etcd.cluster, member_on(machine)
    if member is None:
        return "the member has been permanently removed from the cluster"
    if ETCD_CLIENT_PORT not in machine.ports:
        files = [machine.files.content(f"{ETCD_PKI}/{name}") for name in ("server.crt", "server.key", "ca.crt")]
        if not all(files):
            return "there are no certificates"
        port, stop = serve_etcd(machine.site, machine.name, *(file or b"" for file in files))
        machine.ports[ETCD_CLIENT_PORT], machine.site.servers[machine.name, ETCD_CLIENT_PORT] = port, stop
    member.runs = True
    return None if cluster.answers() else "there is no leader"


def _born(machine: SimulatedMachine) -> str | None:
    """etcd's first start: the data directory is made."""
    from tests.simulator.machines.node import EtcdData

    birth = machine.files.content(ETCD_BIRTH)
    if not birth:
        return f"{ETCD_BIRTH} is not there"
    settings = dict(line.split("=", 1) for line in birth.decode().split())
    url = f"https://{machine.address}:{ETCD_PEER_PORT}"
    urls = [pair.partition("=")[2] for pair in settings["ETCD_INITIAL_CLUSTER"].split(",")]
    if settings["ETCD_INITIAL_CLUSTER_STATE"] == "new":
        cluster = machine.site.found_etcd(machine.name)
        member = cluster.add(url, learner=False)
    else:
        known = _cluster_at(machine, urls)
        if known is None:
            return "no peer answers"
        cluster = known
        if sorted(urls) != sorted(each.peer_url for each in cluster.members.values()):
            return "member count is unequal"
        member = next(each for each in cluster.members.values() if each.peer_url == url)
        if member.name:
            return "tocommit is out of range: was the raft log corrupted, truncated, or lost?"
    unit = machine.files.content(f"{UNIT_FOLDER}/{ETCD}") or b""
    found = _NAME.search(unit.decode())
    member.name, member.client_url = found[1] if found else "", f"https://{machine.address}:{ETCD_CLIENT_PORT}"
    machine.etcd = EtcdData(cluster, member.id)
    return None


def _cluster_at(machine: SimulatedMachine, urls: Iterable[str]) -> EtcdCluster | None:
    """The cluster of the first other member that runs at one of these URLs."""
    for other in machine.site.machines.values():
        member = member_on(other)
        if other.etcd is not None and member is not None and member.runs and member.peer_url in urls:
            return other.etcd.cluster
    return None


def _api_server_begins(machine: SimulatedMachine) -> str | None:
    member = member_on(machine)
    voter = member is not None and member.runs and not member.learner
    if machine.etcd is None or not voter or not machine.etcd.cluster.answers():
        return "etcd does not answer"
    if API_PORT not in machine.ports:
        pki = "/etc/kubernetes/pki"
        files = [machine.files.content(f"{pki}/{name}") for name in ("apiserver.crt", "apiserver.key", "ca.crt")]
        if not all(files):
            return "there are no certificates"
        port, stop = serve_api(machine.site, machine.name, *(file or b"" for file in files))
        machine.ports[API_PORT], machine.site.servers[machine.name, API_PORT] = port, stop
    return None


def _images_begin(machine: SimulatedMachine) -> str | None:
    images = machine.files.below(IMAGES_FOLDER)
    there = [file for path, file in images.items() if path.endswith(".tar")]
    return None if there and all(file.content for file in there) else "ctr: not an image"


def _joined(machine: SimulatedMachine) -> str | None:
    """See `UNTIL_JOINED` of `bootstrap.spec.node_services`."""
    return None if machine.files.content(KUBELET_CERTIFICATE) else "the kubelet has no certificate yet"


RULES: Mapping[str, Callable[[SimulatedMachine], str | None]] = {
    "clusterup-images.service": _images_begin,
    ETCD: _etcd_begins,
    API_SERVER: _api_server_begins,
    KUBELET: why_no_certificate,
    "kube-proxy.service": _joined,
    "clusterup-network.service": _joined,
}
