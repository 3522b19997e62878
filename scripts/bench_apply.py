"""What `scripts/bench-apply` runs: see there."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.image.finding import find_bundle
from bootstrap.inventory.load import load_inventory
from bootstrap.inventory.model import Node
from bootstrap.lab.machines.machine import RECORD, machine_folder
from bootstrap.lab.machines.process import recorded
from bootstrap.lab.store import load_lab

NAME = "bench"
# A machine is busy in a second in which it uses more than this share of a processor.
BUSY = 0.1
TARGETS = {"memory": 200.0, "rate": 0.8, "idle": 0.10}


@dataclass(frozen=True)
class Measured:
    """One apply: seconds of wall and CPU time, peak memory in MB, the share of the time in which no machine was busy (0
    to 1), and the events it told."""

    wall: float
    cpu: float
    memory: float
    still: float
    events: list[dict[str, Any]]


def main() -> int:
    """Measure and print; 0 when the apply went well, whatever the figures."""
    parser = argparse.ArgumentParser(description="Measure one apply on a lab of its own.")
    parser.add_argument("--servers", default="3")
    parser.add_argument("--agents", default="0")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clusterup-bench-") as name:
        folder = Path(name)
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        clusterup("image", "build", "--source", "debian")
        counts = ("--servers", options.servers, "--agents", options.agents)
        with lab(folder, counts) as inventory:
            plain = plain_rate(load_inventory(inventory).nodes, find_bundle(None).artifact("os").file)
            report(measured(inventory), plain)
    return 0


@contextmanager
def lab(folder: Path, counts: Iterable[str]) -> Iterator[Path]:
    """A lab of bare machines; yields the path of its inventory."""
    inventory = folder / "lab.yaml"
    clusterup("lab", "up", "--name", NAME, *counts, "--inventory", str(inventory))
    try:
        yield inventory
    finally:
        clusterup("lab", "down", "--name", NAME)


def clusterup(*arguments: str) -> None:
    """Run clusterup; its output goes to standard error."""
    subprocess.run([program(), *arguments], check=True, stdout=sys.stderr)


def program() -> str:
    """The command that this environment has installed."""
    return str(Path(sys.executable).parent / "clusterup")


def plain_rate(nodes: Iterable[Node], image: Path) -> float:
    """MB/s of `ssh NODE 'cat >FILE'` with the image, to all nodes at once, the sum of all."""
    ssh = shutil.which("ssh") or "ssh"
    nodes = list(nodes)
    with tempfile.TemporaryDirectory() as name:
        known = Path(name) / "known_hosts"
        known.write_text("".join(f"[{node.ssh.host}]:{node.ssh.port} {node.ssh.host_key}\n" for node in nodes))

        def send(node: Node) -> None:
            options = ["-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"]
            way = ["-i", str(node.ssh.key), "-p", str(node.ssh.port), f"{node.ssh.user}@{node.ssh.host}"]
            with image.open("rb") as source:
                subprocess.run([ssh, *options, *way, "cat >/run/bench && rm /run/bench"], stdin=source, check=True)

        began = time.monotonic()
        with ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(send, nodes))
        return len(nodes) * image.stat().st_size / 1e6 / (time.monotonic() - began)


def measured(inventory: Path) -> Measured:
    """Run the apply in a process of its own, and read what it used from the kernel (wait4(2))."""
    began = time.monotonic()
    command = [program(), "apply", str(inventory), "--yes", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, watched() as seconds:
        said = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the apply ended with exit code {process.returncode}")
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    cpu = usage.ru_utime + usage.ru_stime
    still = sum(most <= BUSY for most in seconds) / max(1, len(seconds))
    return Measured(time.monotonic() - began, cpu, usage.ru_maxrss / 1024, still, events)


@contextmanager
def watched() -> Iterator[list[float]]:
    """While it lasts, a number is added each second: what the busiest machine of the lab used of a processor."""
    made = load_lab(NAME)
    if made is None:
        raise SystemExit(f"there is no lab {NAME}")
    records = [machine_folder(made, machine.name) / RECORD for machine in made.machines]
    seconds: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        before, at = used(records), time.monotonic()
        while not ended.wait(1.0):
            after, now = used(records), time.monotonic()
            seconds.append(max((after[pid] - before.get(pid, 0.0)) / (now - at) for pid in after))
            before, at = after, now

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seconds
    finally:
        ended.set()
        watcher.join()


def used(records: Iterable[Path]) -> dict[int, float]:
    """Seconds of a processor that each machine has used so far, by the number of its process (proc_pid_stat(5))."""
    found: dict[int, float] = {}
    for record in records:
        identity = recorded(record)
        if identity is None:
            raise SystemExit(f"a machine of the lab has ended: {record.parent.name}")
        fields = Path(f"/proc/{identity.pid}/stat").read_text().rpartition(")")[2].split()
        found[identity.pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def report(found: Measured, plain: float) -> None:
    """Print the figures, each beside its target where there is one."""
    began = {event["id"]: event["time"] for event in found.events if event["event"] == "ActionStarted"}
    ended = {event["id"]: event for event in found.events if event["event"] == "ActionDone"}
    print(f"wall time                {found.wall:8.1f} s")
    for step, seconds in spans(began, ended).items():
        print(f"  {step:<22} {seconds:8.1f} s")
    print(f"operator's CPU time      {found.cpu:8.1f} s")
    print(f"operator's peak memory   {found.memory:8.1f} MB   target: under {TARGETS['memory']:.0f}")
    rate = transfer_rate(found.events)
    share = f"{rate / plain:.2f} of plain ssh's {plain:.1f} MB/s; target: at least {TARGETS['rate']}"
    print(f"image transfer           {rate:8.1f} MB/s {share}")
    print(f"no node busy             {100 * found.still:8.1f} %    target: under {100 * TARGETS['idle']:.0f}")
    running = [(began[name], event["time"]) for name, event in ended.items()]
    print(f"no action running        {100 * idle(running):8.1f} %")


def spans(began: dict[str, float], ended: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Seconds from the first beginning to the last end of each step's actions."""
    steps: dict[str, tuple[float, float]] = {}
    for name, event in ended.items():
        first, last = steps.get(event["step"], (began[name], event["time"]))
        steps[event["step"]] = (min(first, began[name]), max(last, event["time"]))
    return {step: last - first for step, (first, last) in steps.items()}


def transfer_rate(events: list[dict[str, Any]]) -> float:
    """MB/s of the image's transfers, all nodes together, from the first byte sent to the last one taken."""
    progress = [
        event for event in events if event["event"] == "ActionProgress" and event["id"].endswith("install.image")
    ]
    starts = [event for event in events if event["event"] == "ActionStarted" and event["id"].endswith("install.image")]
    total = {event["id"]: event["total"] for event in progress}
    seconds = max(event["time"] for event in progress) - min(event["time"] for event in starts)
    return float(sum(total.values()) / 1e6 / seconds)


def idle(busy: list[tuple[float, float]]) -> float:
    """The share of the whole time, 0 to 1, in which none of the intervals lies."""
    first, last = min(start for start, _ in busy), max(end for _, end in busy)
    covered, reached = 0.0, first
    for start, end in sorted(busy):
        if end > reached:
            covered += end - max(start, reached)
            reached = end
    return 1 - covered / (last - first)


if __name__ == "__main__":
    sys.exit(main())
