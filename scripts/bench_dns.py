"""What `scripts/bench-dns` runs: see there."""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrap.image.osimage import SUITE
from bootstrap.image.trees import bwrap_argv, ensure_tree
from bootstrap.image.versions import Versions
from bootstrap.inventory.model import Inventory
from bootstrap.spec.dns import dns_unit
from bootstrap.spec.topology import Shape, dns_of
from tests.helpers.daemons import daemon, wait_for
from tests.integration.kube.names import apply, endpoints, headless, running_agent, service
from tests.integration.kube.servers import ApiServer, running_api_server
from tests.integration.names.unbound_server import ASKS_THIS_MACHINE, Place, Unbound, running_unbound

NODE, POD = "clusterup-bench-node", "clusterup-bench-pod"
SUFFIX = "default.svc.cluster.local"
OUTSIDE = "www.example.com."
# The name server of the node.
UPSTREAM = "127.0.0.53"
UPSTREAM_CONF = f"""\
server:
    interface: {UPSTREAM}
    username: ""
    chroot: ""
    directory: ""
    pidfile: ""
    do-daemonize: no
    use-syslog: no
    logfile: ""
    local-data: "{OUTSIDE} 3600 IN A 192.0.2.53"
"""
# New Services whose answers are waited for, one after the other.
NEW = 20
# Services that kubectl takes at once.
AT_ONCE = 250
NODE_ADDRESS, POD_ADDRESS = "10.244.0.1", "10.244.0.2"
PAIRS = 3
# Few enough that no question waits for another one.
LATENCY_RATE, LATENCY_SECONDS = 500, 5


@dataclass(frozen=True)
class Asked:
    """Questions a second, and seconds until the answer: the median, and what 99 of 100 did not exceed."""

    rate: float
    median: float
    slow: float


def main() -> int:
    """Measure and print; 0 when everything was answered, whatever the figures."""
    parser = argparse.ArgumentParser(description="Measure the names of a cluster.")
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5, help="Pods behind each Service.")
    parser.add_argument("--seconds", type=int, default=10, help="How long questions are asked, each time.")
    options = parser.parse_args()
    whole, versions = cluster()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clusterup-bench-")))
        for name in ("api", "dns"):
            (folder / name).mkdir()
        api_server = stack.enter_context(running_api_server(folder / "api"))
        fill(api_server, folder, options.services, options.pods)
        stack.enter_context(namespaces(whole, versions))
        place = Place(str(dns_of(whole)), ("ip", "netns", "exec", NODE))
        unbound = stack.enter_context(running_unbound(folder / "dns", whole, versions, ASKS_THIS_MACHINE, place))
        until_all(stack, api_server, unbound, options)
        until_new(api_server, unbound)
        questions(stack, folder, unbound, options)
    return 0


def cluster() -> tuple[Inventory, Versions]:
    """A server."""
    node = {"name": "s1", "role": "server", "address": "10.77.0.11"}
    return Inventory.model_validate({"cluster": {"name": "bench"}, "nodes": [node]}), Versions(20)


def fill(api_server: ApiServer, folder: Path, services: int, pods: int) -> None:
    """Headless Services with so many pods each: the most names that one can have."""
    items = []
    for number in range(services):
        addresses = {f"p{pod}": f"10.{64 + pod}.{number // 250}.{number % 250 + 1}" for pod in range(pods)}
        items.append((headless(f"s{number}"), endpoints(f"s{number}", addresses)))
    print(f"making {services} Services with {pods} pods each", file=sys.stderr)
    for begin in range(0, len(items), AT_ONCE):
        apply(api_server, folder, *(each for pair in items[begin : begin + AT_ONCE] for each in pair))


@contextmanager
def namespaces(whole: Inventory, versions: Versions) -> Iterator[None]:
    """A node with the address and the packet rules that unbound's unit makes there, and a pod behind it."""
    (rules,) = (file for file in dns_unit(Shape(whole, whole.nodes[0], versions, {})).files if ".nft" in file.path)
    cards = ((NODE, "pod", NODE_ADDRESS), (POD, "eth0", POD_ADDRESS))
    try:
        for name, _, _ in cards:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", NODE, "link", "add", "pod", "type", "veth", "peer", "name", "eth0", "netns", POD)
        for name, card, address in cards:
            _ip("-n", name, "address", "add", f"{address}/24", "dev", card)
            _ip("-n", name, "link", "set", card, "up")
        _ip("-n", POD, "route", "add", "default", "via", NODE_ADDRESS)
        # Not every kernel has dummy interfaces; to a pod, it is the same.
        _ip("-n", NODE, "address", "add", f"{dns_of(whole)}/32", "dev", "lo")
        within = ("ip", "netns", "exec", NODE)
        said = subprocess.run((*within, "nft", "-f", "-"), input=rules.content, capture_output=True, check=False)
        if said.returncode:
            print(f"without the rules of a node, which this kernel does not take: {said.stderr.decode()[:200]}")
        yield
    finally:
        for name, _, _ in cards:
            subprocess.run(("ip", "netns", "delete", name), capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True)


def until_all(stack: ExitStack, api_server: ApiServer, unbound: Unbound, options: argparse.Namespace) -> None:
    """From the agent's start to the last name, and what both hold in memory then."""
    before = memory(unbound.process.pid, "unbound")
    began = time.monotonic()
    agent = stack.enter_context(running_agent(api_server, unbound))
    pods = options.services * options.pods
    wait_for(lambda: unbound.control(("list_local_data",)).count("\tPTR\tp") >= pods, "all names", 600)
    took = time.monotonic() - began
    both = {"agent": memory(agent.pid, "python"), "unbound": memory(unbound.process.pid, "unbound")}
    held = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in both.items())
    print(f"all names {took:.1f} s after the agent's start, its lists among it (target: under 10 s after them)")
    print(
        f"memory: {held}, {sum(both.values()) / 1e6:.0f} MB together (target: 60); unbound alone {before / 1e6:.0f} MB"
    )


def until_new(api_server: ApiServer, unbound: Unbound) -> None:
    """From the moment at which a Service was made to its first answer."""
    found = []
    with api_server.client() as client:
        for number in range(NEW):
            name, address = f"new{number}", f"10.96.9.{number + 1}"
            ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
            client.apply(service(name, clusterIP=address, ports=ports))
            began = time.monotonic()
            while address not in answer(unbound, f"{name}.{SUFFIX}."):
                time.sleep(0.01)
            found.append(time.monotonic() - began)
    print(
        f"a new Service is answered after {statistics.median(found):.2f} s, {max(found):.2f} at most (target: median 1)"
    )


def answer(unbound: Unbound, name: str) -> str:
    """What unbound answers on its node."""
    argv = (*unbound.place.within, "busybox", "nslookup", "-type=a", name, unbound.place.address)
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.partition("Name:")[2]


def memory(process: int, name: str) -> int:
    """Bytes that are a program's own, with its part of what it shares, among a process and those that it began."""
    waiting, found = [process], 0
    while waiting:
        each = Path(f"/proc/{waiting.pop()}")
        waiting += [int(child) for child in (each / "task" / each.name / "children").read_text().split()]
        if (each / "comm").read_text().startswith(name):
            (kilobytes,) = re.findall(r"^Pss: +(\d+) kB", (each / "smaps_rollup").read_text(), re.MULTILINE)
            found += int(kilobytes) * 1024
    return found


def questions(stack: ExitStack, folder: Path, unbound: Unbound, options: argparse.Namespace) -> None:
    """From a pod and on the node, in turn: names of the cluster, and a name of others that was asked before."""
    tree = ensure_tree("names", SUITE, ("unbound",), log=print)
    (folder / "upstream.conf").write_text(UPSTREAM_CONF)
    server = bwrap_argv(
        tree, ("unbound", "-d", "-p", "-c", "/work/upstream.conf"), binds={folder: "/work"}, environment={}
    )
    stack.enter_context(daemon((*unbound.place.within, *server), folder / "upstream.log"))
    unbound.control(("forward_add", ".", UPSTREAM))
    wait_for(lambda: "192.0.2.53" in answer(unbound, OUTSIDE), "the name of others", 30)
    inside = [f"s{number}.{SUFFIX}." for number in range(0, options.services, max(1, options.services // 500))]
    for about, names in (("inside", inside), ("outside", [OUTSIDE])):
        (folder / "questions").write_text("".join(f"{name} A\n" for name in names))
        pairs = [
            (perf(folder, unbound, POD, options.seconds), perf(folder, unbound, NODE, options.seconds))
            for _ in range(PAIRS)
        ]
        pod, node = zip(*pairs, strict=True)
        ratio = statistics.median(one.rate / other.rate for one, other in pairs)
        print(f"{about}: from a pod {_told(pod)}; on the node {_told(node)}")
        print(f"{about}: the pod's rate is {ratio:.2f} of the node's (median; target: 0.8)")


def perf(folder: Path, unbound: Unbound, namespace: str, seconds: int) -> Asked:
    """dnsperf's figures: how many at most, and how long each takes of a few. Raises SystemExit where a question was not
    answered."""
    at_most = _dnsperf(folder, unbound, namespace, "-l", str(seconds))
    some = _dnsperf(folder, unbound, namespace, "-l", str(LATENCY_SECONDS), "-Q", str(LATENCY_RATE), "-v")
    taken = sorted(float(line.split()[-1]) for line in some.splitlines() if line.startswith("> NOERROR"))
    (rate,) = re.findall(r"Queries per second: +([0-9.]+)", at_most)
    if not taken:
        raise SystemExit(f"no question was answered:\n{some[-1000:]}")
    return Asked(float(rate), taken[len(taken) // 2], taken[len(taken) * 99 // 100])


def _dnsperf(folder: Path, unbound: Unbound, namespace: str, *options: str) -> str:
    tree = ensure_tree("dnsperf", SUITE, ("dnsperf",), log=print)
    argv = ("dnsperf", "-s", unbound.place.address, "-d", "/work/questions", *options)
    inside = bwrap_argv(tree, argv, binds={folder: "/work"}, environment={})
    said = subprocess.run(
        ("ip", "netns", "exec", namespace, *inside), capture_output=True, text=True, check=True
    ).stdout
    if re.findall(r"Queries lost: +(\d+)", said) != ["0"]:
        raise SystemExit(f"questions were not answered:\n{said[-1000:]}")
    return said


def _told(found: Sequence[Asked]) -> str:
    rate = statistics.median(each.rate for each in found)
    median, slow = (statistics.median(getattr(each, name) for each in found) * 1000 for name in ("median", "slow"))
    return f"{rate:,.0f}/s, {median:.2f} ms median, {slow:.2f} ms for 99 of 100"


if __name__ == "__main__":
    sys.exit(main())
