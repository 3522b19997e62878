"""All simulated machines of one cluster, what they have in common, and what must never happen to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from bootstrap.constants.paths import BOOTSTRAP_CONF
from bootstrap.constants.ports import API_PORT
from bootstrap.image.bundle import Bundle
from bootstrap.pki.sshkeys import SshKey
from bootstrap.pki.token import parse_token, token_secret
from tests.simulator.crowd import crowd_node, crowd_request, name_of
from tests.simulator.etcd_cluster import EtcdCluster, Stopwatch
from tests.simulator.machines.facts import traces
from tests.simulator.machines.kubelet import keep_cluster
from tests.simulator.machines.node import SimulatedMachine
from tests.simulator.machines.ssh import Fleet


class Site:
    """Machines, the etcd clusters that were founded on them, and the servers that run in this process for them.

    `complaints` are what a machine saw that must not happen, whatever is interrupted: scripts that no one knows, a disk
    that is started from half written, a second founding, an installed system that is overwritten. `elsewhere` are
    Nodes that count as Ready without a machine here. `asked` and `told` are how many requests the API servers got, and
    how many characters they answered.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.lock = threading.RLock()
        self.watch = Stopwatch()
        self.machines: dict[str, SimulatedMachine] = {}
        self.clusters: list[EtcdCluster] = []
        # What ends the server that answers on a machine's port.
        self.servers: dict[tuple[str, int], Callable[[], None]] = {}
        self.complaints: list[str] = []
        self.elsewhere: set[str] = set()
        self.asked = self.told = 0
        self.payloads = {bundle.artifact("payload").file.read_bytes()}
        self._image = bundle.artifact("os")

    def add(self, name: str, address: str, *, live_key: SshKey, admits: str) -> SimulatedMachine:
        """A bare machine, switched on; see `SimulatedMachine`."""
        machine = SimulatedMachine(self, name, address, image=self._image, live_key=live_key, admits=admits)
        self.machines[name] = machine
        machine.start()
        return machine

    def complain(self, said: str) -> None:
        self.complaints.append(said)

    def found_etcd(self, by: str) -> EtcdCluster:
        """A new cluster, which must be the only one whose data anybody has."""
        having = [machine.name for machine in self.machines.values() if machine.etcd is not None]
        if having:
            self.complain(f"{by} founded etcd while {', '.join(having)} had its data")
        self.clusters.append(EtcdCluster(self.watch))
        return self.clusters[-1]

    def settle(self) -> None:
        """Let happen what would happen by itself in a moment: reboots, units that start, controllers at work."""
        for machine in self.machines.values():
            if machine.reboots:
                machine.reboot()
        while sum(machine.systemd.go_on() for machine in self.machines.values() if machine.on):
            keep_cluster(self)
        keep_cluster(self)

    def make_token(self, text: str, seconds: float) -> None:
        """Have a person make a token in the cluster."""
        made = token_secret(
            parse_token(text), expires=datetime.now(UTC) + timedelta(seconds=seconds), description="a person's"
        )
        for cluster in self.clusters:
            cluster.objects.apply(("Secret", "kube-system", made["metadata"]["name"]), made)

    def make_nodes(self, count: int) -> None:
        """Have so many Nodes more in the cluster, with what else the API servers keep of each: see `crowd`."""
        for number in range(len(self.elsewhere), len(self.elsewhere) + count):
            self.elsewhere.add(name_of(number))
            for made in (crowd_node(number), crowd_request(number)):
                for cluster in self.clusters:
                    cluster.objects.apply((made["kind"], "", made["metadata"]["name"]), made)

    def summary(self) -> dict[str, Any]:
        """What is so now, as plain data."""
        with self.lock:
            self.settle()
            clusters = {id(m.etcd.cluster): m.etcd.cluster for m in self.machines.values() if m.etcd is not None}
            objects = [cluster.objects for cluster in clusters.values()]
            return {
                "complaints": list(self.complaints),
                "clusters": [cluster.summary() for cluster in clusters.values()],
                "leases": sum(len(cluster.leases) for cluster in clusters.values()),
                "tokens": [
                    secret["metadata"]["name"]
                    for each in objects
                    for secret in each.all("Secret", "kube-system")
                    if secret["metadata"]["name"].startswith("bootstrap-token-")
                ],
                "nodes": {
                    node["metadata"]["name"]: node["status"]["conditions"][0]["status"]
                    for each in objects
                    for node in each.all("Node")
                },
                "systems": {
                    machine.name: "off" if not machine.on else "installed" if machine.installed else "live"
                    for machine in self.machines.values()
                },
                "traces": {machine.name: traces(machine) for machine in self.machines.values()},
                "installed": {machine.name: machine.times_installed for machine in self.machines.values()},
                "api": [machine.ports[API_PORT] for machine in self.machines.values() if API_PORT in machine.ports],
                "left": [m.name for m in self.machines.values() if m.files.content(BOOTSTRAP_CONF) is not None],
                "lets in": {
                    machine.name: (machine.files.content("/etc/ssh/authorized_keys.d/root") or b"").decode()
                    for machine in self.machines.values()
                },
            }


class Switchboard:
    """What a person in front of the machines can do, and time."""

    def __init__(self, site: Site, fleet: Fleet) -> None:
        self.site = site
        self.fleet = fleet

    def do(self, what: str, whom: str = "", seconds: float = 0.0) -> Any:
        """Do `what` to the machine `whom`: cut its connections, switch it off or on; or to all: "on", "jump" (the
        clock that leases and tokens end by), "look", and "used" (what this process and its API servers have done so
        far); or make the token `whom`, which ends in so many seconds, or `whom` more "nodes" without machines; or let
        etcd's data on `whom` "forget" all votes, or all members run the "release" `whom`."""
        match what:
            case "cut":
                self.fleet.cut(whom)
            case "off":
                with self.site.lock:
                    self.site.machines[whom].lose_power()
                self.fleet.switch_off(whom)
            case "on":
                self._switch_on(self.site.machines.values())
            case "jump":
                with self.site.lock:
                    self.site.watch.jump(seconds)
            case "forget":
                with self.site.lock:
                    self.site.clusters[-1].forgotten[whom] = set(self.site.clusters[-1].members)
            case "release":
                with self.site.lock:
                    self.site.clusters[-1].release = whom
            case "token":
                with self.site.lock:
                    self.site.make_token(whom, seconds)
            case "nodes":
                with self.site.lock:
                    self.site.make_nodes(int(whom))
            case "used":
                return {"cpu": time.process_time(), "asked": self.site.asked, "told": self.site.told}
            case "look":
                return {**self.site.summary(), "failures": [repr(error) for error in self.fleet.failures]}
            case _:
                raise ValueError(what)
        return None

    def _switch_on(self, machines: Iterable[SimulatedMachine]) -> None:
        for machine in machines:
            with self.site.lock:
                machine.start()
            self.fleet.switch_on(machine.name)
