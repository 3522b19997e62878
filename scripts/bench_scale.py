"""What `scripts/bench-scale` runs: see there."""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.measured import measured

SERVERS = 3
NODES = (10, 100, 300, 1000)
WITH_ANSIBLE = (10, 100)
ANSIBLE_S_OWN_FORKS = 5
CLUSTERUP = "from bootstrap.cli.start import start; start()"
# Everything that a plan imports.
START = (
    "import bootstrap.cli.main, bootstrap.cli.front, bootstrap.ui.words, cryptography.x509, grpc, httpx, jinja2; "
    "from bootstrap.transport.connect import load_paramiko; load_paramiko()"
)
TARGETS = "at least 5 times as fast as Ansible; no worse than linear; under 300 MB with 1,000 nodes"


@dataclass(frozen=True)
class Ran:
    """A process that ended well: seconds of wall and CPU time, peak memory in MB; CPU seconds of the simulator
    meanwhile, and characters of facts that it told."""

    wall: float
    cpu: float
    memory: float
    simulator: float
    told: int


class Simulator:
    """The simulated cluster, in a process of its own."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder = folder
        self._process = process

    @property
    def environment(self) -> dict[str, str]:
        """An operator's who has nothing but this cluster."""
        # Where Python may not keep what it compiled, only clusterup would compile itself again and again: what pip
        # installs is compiled.
        foreign = ("SSH_AUTH_SOCK", "PYTHONDONTWRITEBYTECODE")
        mine = {name: value for name, value in os.environ.items() if name not in foreign}
        return mine | {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state")}

    def tell(self, word: str) -> str:
        """Say a word to it, and return what it says."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("the simulator has no pipes")
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        if not (said := self._process.stdout.readline().strip()):
            raise SystemExit("the simulator has ended")
        return said

    def run(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> Ran:
        """Run a command of the operator's and read what it used from the kernel (wait4(2)); all connections are cut
        before. Ends with its output when it fails."""
        self.tell("cut")
        before = json.loads(self.tell("used"))
        try:
            used = measured(command, self.environment | dict(more or {}), Path.cwd())
        except RuntimeError as error:
            raise SystemExit(str(error)) from None
        after = json.loads(self.tell("used"))
        return Ran(
            used.wall,
            used.cpu,
            used.memory,
            after["cpu"] - before["cpu"],
            after["told"] - before["told"],
        )


def main() -> int:
    """Measure and print; 0 whatever the figures."""
    parser = argparse.ArgumentParser(description="Measure plans of simulated clusters.")
    parser.add_argument("--ansible", help="Path of ansible-playbook. Without it, nothing is compared.")
    parser.add_argument("--nodes", type=int, action="append", help="Nodes of a cluster. Repeatable.")
    parser.add_argument("--times", type=int, default=3, help="How often each is measured; the median counts.")
    parser.add_argument("--parallel", type=int, default=32)
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors; --parallel {options.parallel}; median of {options.times}; {TARGETS}")
    print("nodes  first plan    plan     CPU  without start  memory  simulator's CPU")
    for nodes in options.nodes or NODES:
        with simulator(nodes) as simulated:
            plan = [sys.executable, "-c", CLUSTERUP, "plan", str(simulated.folder / "fleet.yaml")]
            plan += ["--detailed-exitcode", "--parallel", str(options.parallel)]
            first = simulated.run(plan[:-3])
            simulated.tell("install")
            # In turns: what else the machine does meanwhile is the same for all.
            rounds = [
                _round(simulated, plan, options.ansible if nodes in WITH_ANSIBLE else None, options.parallel)
                for _ in range(options.times)
            ]
            report(nodes, first, {name: [each[name] for each in rounds] for name in rounds[0]}, options.parallel)
    return 0


def _round(simulated: Simulator, plan: Sequence[str], ansible: str | None, parallel: int) -> dict[str, Ran]:
    found = {"plan": simulated.run(plan), "start": simulated.run([sys.executable, "-c", START])}
    if ansible is not None:
        for forks in (ANSIBLE_S_OWN_FORKS, parallel):
            found[f"{forks} forks"] = gathered_by_ansible(simulated, ansible, forks)
            if found[f"{forks} forks"].told != found["plan"].told:
                raise SystemExit("Ansible was not told the same facts")
    return found


@contextmanager
def simulator(nodes: int) -> Iterator[Simulator]:
    """A simulated cluster whose machines are in the live environment."""
    with tempfile.TemporaryDirectory(prefix="clusterup-bench-") as name:
        module = [sys.executable, "-m", "tests.simulator.cluster", name]
        counts = ["--servers", str(SERVERS), "--agents", str(nodes - SERVERS)]
        with subprocess.Popen([*module, *counts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                if process.stdout is None or process.stdout.readline() != "live\n":
                    raise SystemExit("the simulator did not come up")
                yield Simulator(Path(name), process)
            finally:
                # It ends with its standard input.
                if process.stdin is not None:
                    process.stdin.close()
                process.wait(60)


def gathered_by_ansible(simulated: Simulator, ansible: str, forks: int) -> Ran:
    """The same facts, gathered by Ansible's module `raw`, as the nodes have no Python; what is not said here is as
    Ansible has it by default."""
    folder = simulated.folder / "ansible"
    if not folder.exists():
        write_playbook(simulated.folder, folder)
    with tempfile.TemporaryDirectory(dir=folder) as sockets:
        settings = {
            "ANSIBLE_FORKS": str(forks),
            # Of its own for each run: no connection is left over from the run before.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        }
        return simulated.run([ansible, "-i", str(folder / "hosts.json"), str(folder / "facts.json")], settings)


def write_playbook(operator: Path, folder: Path) -> None:
    """An inventory of the same nodes with the same keys, and a playbook that asks them the same questions."""
    folder.mkdir()
    written = (operator / "fleet.yaml").read_text()
    state = operator / "state" / "clusterup" / "clusters" / "fleet"
    found = re.search(r"port: (\d+)", written)
    port = int(found[1]) if found else 22
    addresses = dict(
        zip(re.findall(r"- name: (\S+)", written), re.findall(r"address: (\S+)", written), strict=True),
    )
    keys = {name: (state / "nodes" / name / "ssh_host_ed25519_key.pub").read_text().strip() for name in addresses}
    (folder / "known_hosts").write_text(
        "".join(f"[{addresses[name]}]:{port} {key}\n" for name, key in keys.items()),
    )
    common = {
        "ansible_port": port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(state / "ssh" / "id_ed25519"),
        "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={folder / 'known_hosts'}",
    }
    hosts = {name: {"ansible_host": address} for name, address in addresses.items()}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
    scripts = operator / "scripts"
    task = {"raw": f"{{{{ lookup('ansible.builtin.file', '{scripts}/' + inventory_hostname) }}}}", "register": "facts"}
    (folder / "facts.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))


def report(nodes: int, first: Ran, found: Mapping[str, Sequence[Ran]], parallel: int) -> None:
    """Print the medians of a cluster's runs, and how they compare."""
    wall = {name: statistics.median(ran.wall for ran in runs) for name, runs in found.items()}
    plans = found["plan"]
    cpu, beside = (statistics.median(value) for value in zip(*((ran.cpu, ran.simulator) for ran in plans), strict=True))
    rest = statistics.median(plan.wall - start.wall for plan, start in zip(plans, found["start"], strict=True))
    print(
        f"{nodes:5}  {first.wall:8.2f} s  {wall['plan']:6.2f} s  {cpu:4.2f} s  {rest:10.2f} s  "
        f"{max(ran.memory for ran in plans):5.0f} MB  {beside:13.2f} s",
        flush=True,
    )
    for forks in (ANSIBLE_S_OWN_FORKS, parallel):
        if (name := f"{forks} forks") in wall:
            theirs = statistics.median(ran.cpu for ran in found[name])
            print(
                f"       Ansible, {name:8} {wall[name]:6.2f} s  {theirs:5.2f} s  clusterup is "
                f"{wall[name] / wall['plan']:.1f} times as fast, with 1/{theirs / cpu:.1f} of the CPU time",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
