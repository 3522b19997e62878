"""A whole simulated cluster and its operator: the machines, an inventory of them, a bundle, and what answers behind the
ports of its servers.

As a program (`python -m tests.simulator.cluster FOLDER --servers 3 --agents 7`) it serves the cluster to another
process: docs/scale.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrap.constants.ports import API_PORT, ETCD_CLIENT_PORT
from bootstrap.image.bundle import Bundle, Partition
from bootstrap.image.files import bundle_as_data
from bootstrap.image.manifest import write_manifest
from bootstrap.inventory.load import read_inventory
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.phases.kubeconfig import admin_kubeconfig, kubeconfig_beside
from bootstrap.phases.pinned import pin
from bootstrap.pki.kubeconfig import write_kubeconfig
from bootstrap.pki.sshkeys import SshKey, new_ssh_key
from bootstrap.state.cluster import ClusterState
from tests.helpers.daemons import free_ports
from tests.helpers.worlds import COMPONENTS
from tests.simulator.machines.services import api_server, etcd, ready_node
from tests.simulator.machines.ssh import Fleet, loopback, private
from tests.simulator.recorded import Recorded, installed, live, with_questions

NAME = "fleet"


@dataclass
class SimulatedCluster:
    """Machines in the live environment, until `install` makes nodes of them. `folder` is their operator's, who keeps
    the state below `state` there (XDG_STATE_HOME) and the inventory in `inventory`."""

    folder: Path
    fleet: Fleet
    machines: dict[str, Recorded]
    until_the_end: ExitStack

    @property
    def inventory(self) -> Path:
        return self.folder / "fleet.yaml"

    @property
    def environment(self) -> dict[str, str]:
        """What an operator's process needs in its environment to find the state and nothing of somebody else's."""
        return {"XDG_STATE_HOME": str(self.folder / "state"), "HOME": str(self.folder)}

    @property
    def ssh_key(self) -> Path:
        """The operator's key for installed machines."""
        return self._state.ssh_key_file

    @property
    def _state(self) -> ClusterState:
        return ClusterState(self.folder / "state" / "clusterup" / "clusters" / NAME)

    def intent(self) -> Intent:
        """What the inventory comes to, with the operator's own state, in which its keys are kept from then on."""
        written = read_inventory(self.inventory)
        made = intent_of(
            written.inventory,
            self._state,
            bundle_in(self.folder / "bundle"),
            kubeconfig_beside(self.inventory, NAME),
            written=written.content,
            places=written.places,
        )
        made.state.keep_made()
        pin(made.state, made.inventory, made.bundle)
        return made

    def install(self) -> None:
        """From here on every machine is a node on which everything is as the inventory says."""
        intent = self.intent()
        visitor = intent.state.ssh_key.public
        version = f"v1.{intent.bundle.versions.minor}.2"
        nodes = [ready_node(desired.node, version) for desired in intent.nodes.values()]
        pki = intent.keys.pki
        api = self.until_the_end.enter_context(api_server([*nodes, *intent.objects], pki.ca))
        quorum = self.until_the_end.enter_context(etcd(intent.servers, pki.etcd))
        for name, desired in intent.nodes.items():
            node = installed(desired, NAME, intent.state.cluster_id, intent.state.identity(name), visitor)
            if desired.etcd:
                node.ways = {("127.0.0.1", ETCD_CLIENT_PORT): quorum, ("127.0.0.1", API_PORT): api}
            self._becomes(name, node)
        write_kubeconfig(intent.kubeconfig, admin_kubeconfig(intent.inventory, intent.keys))

    def write_scripts(self) -> None:
        """Write what each node is asked, as a script of its own below `scripts`: for other programs than clusterup."""
        folder = self.folder / "scripts"
        folder.mkdir(exist_ok=True)
        for name, desired in self.intent().nodes.items():
            (folder / name).write_text(with_questions(desired.wanted.stdin.decode()))

    def _becomes(self, name: str, other: Recorded) -> None:
        kept = ("before", "answered")
        for part in dataclasses.fields(other):
            if part.name not in kept:
                setattr(self.machines[name], part.name, getattr(other, part.name))
        self.fleet.cut(name)


@contextmanager
def simulated_cluster(folder: Path, *, servers: int, agents: int) -> Iterator[SimulatedCluster]:
    """A cluster in `folder`, all of whose machines are on and in the live environment."""
    names = [f"s{n}" for n in range(1, servers + 1)] + [f"a{n}" for n in range(1, agents + 1)]
    places = {name: loopback(number) for number, name in enumerate(names)}
    visitor = new_ssh_key()
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_bytes(visitor.private)
    keys = {name: new_ssh_key() for name in names}
    machines = {name: live(name, private(places[name]), keys[name], [visitor.public]) for name in names}
    bundle_in(folder / "bundle")
    (port,) = free_ports(1)
    with ExitStack() as until_the_end:
        fleet = Fleet()
        until_the_end.callback(fleet.close)
        for name, machine in machines.items():
            fleet.add(machine, places[name], port)
        cluster = SimulatedCluster(folder, fleet, machines, until_the_end)
        cluster.inventory.write_text(_inventory(folder, places, keys, port))
        yield cluster
    if fleet.failures:
        raise fleet.failures[0]


def bundle_in(folder: Path) -> Bundle:
    """A bundle of files that hold a few bytes each."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"os.raw.zst": b"an image", "payload.raw": b"a payload", "pause.tar": b"pause"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    image = bundle_as_data("os", folder / "os.raw.zst", partitions=(Partition("CLUSTERUP", 1 << 20, 1 << 20),))
    artifacts = [
        dataclasses.replace(image, raw_size=image.size),
        bundle_as_data("payload", folder / "payload.raw", components=COMPONENTS),
        bundle_as_data("image/pause", folder / "pause.tar", reference="clusterup.local/pause:1"),
    ]
    made = Bundle(folder, "1", {artifact.name: artifact for artifact in artifacts})
    write_manifest(made)
    return made


def _inventory(folder: Path, places: dict[str, str], keys: dict[str, SshKey], port: int) -> str:
    """The inventory as a person would write it: a block of lines for each node."""
    lines = [
        "cluster:",
        f"  name: {NAME}",
        "  pod_cidr: 10.240.0.0/12",
        "  service_cidr: 10.96.0.0/16",
        "os:",
        f"  bundle: {folder / 'bundle'}",
        "defaults:",
        "  disk: /dev/vda",
        "  ssh:",
        f"    port: {port}",
        f"    key: {folder / 'key'}",
        "nodes:",
    ]
    for name, address in places.items():
        role = "server" if name.startswith("s") else "agent"
        lines += [
            f"  - name: {name}",
            f"    role: {role}",
            f"    address: {private(address)}",
            "    labels:",
            f"      rack: r{address.split('.')[2]}",
            "    ssh:",
            f"      host: {address}",
            f"      host_key: {keys[name].public}",
        ]
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    """Serve a cluster until standard input ends. Says "live" when its machines are there; on "install" makes nodes of
    them, writes the questions that each is asked, and says "installed"; on "cut" ends all connections; on "used" says,
    as JSON, what this process has used so far."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--agents", type=int, default=7)
    options = parser.parse_args()
    with simulated_cluster(options.folder, servers=options.servers, agents=options.agents) as cluster:
        print("live", flush=True)
        for line in sys.stdin:
            if line == "install\n":
                cluster.install()
                cluster.write_scripts()
                print("installed", flush=True)
            elif line == "used\n":
                print(json.dumps(_used(cluster)), flush=True)
            elif line == "cut\n":
                for name in cluster.machines:
                    cluster.fleet.cut(name)
                print("cut", flush=True)


def _used(cluster: SimulatedCluster) -> dict[str, float]:
    """CPU seconds, connections taken, and characters of facts told, so far."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    told = sum(machine.answered for machine in cluster.machines.values())
    return {"cpu": own.ru_utime + own.ru_stime, "connections": cluster.fleet.connections, "told": told}


if __name__ == "__main__":
    main()
