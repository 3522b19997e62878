"""What `scripts/bench-restore` runs: see there."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrap.lab.store import load_lab
from bootstrap.phases.kubeconfig import kubeconfig_beside

NAME = "bench-restore"
# What three servers of 2 GiB are to be healthy again in on two cores without KVM, in seconds.
TARGET = 30.0
WRITTEN = "bench-restore"


@dataclass(frozen=True)
class Round:
    """Seconds that saving and restoring took, and the bytes that it took on the disk."""

    save: float
    restore: float
    size: int


def main() -> int:
    """Measure and print; 0 when each lab came back whole, however long it took."""
    parser = argparse.ArgumentParser(description="Measure how long a lab takes that is restored.")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--lab", help="a lab that is there, with a cluster that is Ready; without, one is made")
    parser.add_argument("--inventory", type=Path, default=Path("lab.yaml"), help="of that lab")
    options = parser.parse_args()
    if options.lab is not None:
        rounds = [one_round(options.lab, options.inventory.absolute(), number) for number in range(options.times)]
        names = [f"{WRITTEN}-{os.getpid()}-{number}" for number in range(options.times)]
        kubectl(options.lab, options.inventory, "delete", "configmap", *names)
        report(rounds)
        return 0
    with made() as inventory:
        report([one_round(NAME, inventory, number) for number in range(options.times)])
    return 0


@contextmanager
def made() -> Iterator[Path]:
    """A lab of three servers, Ready; yields the path of its inventory."""
    with tempfile.TemporaryDirectory(prefix="clusterup-bench-") as folder:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        inventory = Path(folder) / "lab.yaml"
        clusterup("image", "build", "--source", "debian")
        try:
            clusterup("lab", "up", "--name", NAME, "--inventory", str(inventory))
            clusterup("apply", str(inventory), "--yes")
            yield inventory
        finally:
            clusterup("lab", "down", "--name", NAME)


def one_round(lab: str, inventory: Path, number: int) -> Round:
    """Write, save, take down, restore, read. Raises SystemExit where what was written is not there."""
    kubeconfig = kubeconfig_beside(inventory, lab).read_bytes()
    written = f"{WRITTEN}-{os.getpid()}"
    kubectl(lab, inventory, "create", "configmap", f"{written}-{number}", f"--from-literal=written={number}")
    # What was saved is forgotten when it is back, and not before: until then it is all that there is of the lab.
    saved = f"{NAME}-{os.getpid()}-{number}"
    save = timed("lab", "save", saved, "--name", lab, "--keep", "1000")
    (size,) = [each["size"] for each in json.loads(said("lab", "saved", "-o", "json")) if each["name"] == saved]
    clusterup("lab", "down", "--name", lab)
    if load_lab(lab) is not None:
        raise SystemExit(f"the lab {lab} is still there")
    restore = timed("lab", "restore", saved, "--inventory", str(inventory))
    if kubeconfig_beside(inventory, lab).read_bytes() != kubeconfig:
        raise SystemExit("the kubeconfig is another one")
    names = [f"{written}-{each}" for each in range(number + 1)]
    read = kubectl(lab, inventory, "get", "configmap", *names, "-o", "jsonpath={.items[*].data.written}{.data.written}")
    if read.split() != [str(each) for each in range(number + 1)]:
        raise SystemExit(f"what was written is not there: {read!r}")
    clusterup("lab", "forget", saved, "--yes")
    found = Round(save, restore, size)
    print(
        f"{number + 1:3}  saved in {save:5.1f} s, {size / 1e9:.1f} GB; healthy again after {restore:5.1f} s", flush=True
    )
    return found


def report(rounds: Sequence[Round]) -> None:
    """The figures of all rounds."""
    for what, seconds in (("save", [each.save for each in rounds]), ("restore", [each.restore for each in rounds])):
        print(
            f"{what:8} {min(seconds):5.1f} / {statistics.median(seconds):5.1f} / {max(seconds):5.1f} s (min/median/max)"
        )
    within = sum(each.restore <= TARGET for each in rounds)
    print(f"healthy again within {TARGET:.0f} s: {within} of {len(rounds)}")


def timed(*arguments: str) -> float:
    """Seconds that a command took, which has to succeed."""
    began = time.monotonic()
    clusterup(*arguments)
    return time.monotonic() - began


def clusterup(*arguments: str) -> None:
    """Run clusterup; its output goes to standard error."""
    subprocess.run([program(), *arguments], check=True, stdout=sys.stderr)


def said(*arguments: str) -> str:
    """What clusterup says."""
    return subprocess.run([program(), *arguments], check=True, capture_output=True, text=True).stdout


def kubectl(lab: str, inventory: Path, *arguments: str) -> str:
    """kubectl with the lab's kubeconfig; it has to succeed."""
    tool = said("image", "path", "tool/kubectl").strip()
    command = [tool, "--kubeconfig", str(kubeconfig_beside(inventory, lab)), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def program() -> str:
    """The command that this environment has installed."""
    return str(Path(sys.executable).parent / "clusterup")


if __name__ == "__main__":
    sys.exit(main())
