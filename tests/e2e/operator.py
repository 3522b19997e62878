"""An operator who sits in front of a lab of virtual machines, and does what users do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from bootstrap.engine.events import unobserved
from bootstrap.facts.model import ClusterFacts
from bootstrap.operations.connections import connections_of
from bootstrap.operations.intent import Intent
from bootstrap.operations.planning import look
from bootstrap.operations.reading import intent_of_file
from bootstrap.transport.base import Command


@dataclass
class Operator:
    """A person in a folder of their own, with a state folder of their own, the machine's cache, and a lab called
    `name`."""

    folder: Path
    state: Path
    name: str = "e2e"

    @property
    def inventory(self) -> Path:
        return self.folder / "lab.yaml"

    def runs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """clusterup, as typed; whatever its exit code. What it says is also in the test's output."""
        with self.begins(*arguments, stderr=subprocess.PIPE) as process:
            output, errors = process.communicate()
        sys.stdout.write(f"$ clusterup {' '.join(arguments)}\n{output}{errors}")
        assert "Traceback" not in errors
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    @contextmanager
    def begins(self, *arguments: str, stderr: int | IO[str] = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
        """clusterup, as typed, under way. It does not outlive the context."""
        with subprocess.Popen(
            [sys.executable, "-c", "from bootstrap.cli.start import start; start()", *arguments],
            cwd=self.folder,
            env={**os.environ, "XDG_STATE_HOME": str(self.state)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def clusterup(self, *arguments: str) -> str:
        """clusterup, as typed; it has to succeed. Returns its standard output."""
        done = self.runs(*arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def status(self) -> dict[str, Any]:
        """What `clusterup status` says, whether healthy or not."""
        found: dict[str, Any] = json.loads(self.runs("status", "lab.yaml", "-o", "json").stdout)
        return found

    def states(self) -> dict[str, str]:
        """What `clusterup status` says of each node, as in Ready, NotReady."""
        return {node["name"]: node["state"] for node in self.status()["nodes"]}

    def readiness(self) -> dict[str, str]:
        """Whether each Node is Ready, as the API has it: True, False or Unknown; nothing where it does not answer."""
        found = self.asks("get", "nodes", "-o", "json")
        return {
            node["metadata"]["name"]: str(condition["status"])
            for node in (json.loads(found.stdout)["items"] if found.returncode == 0 else ())
            for condition in node["status"]["conditions"]
            if condition["type"] == "Ready"
        }

    def kubectl(self, *arguments: str) -> str:
        """kubectl with the kubeconfig that apply has written; it has to succeed."""
        done = self.asks(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def asks(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As `kubectl`, whatever comes of it: while a server goes away, a question may fail."""
        program = self.clusterup("image", "path", "tool/kubectl").strip()
        done = subprocess.run(
            [program, "--kubeconfig", f"{self.name}.kubeconfig", "--request-timeout=60s", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        sys.stdout.write(f"$ kubectl {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done

    def edits(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Somebody edits the inventory. Its first line stays: `lab up` knows its own inventory by it."""
        head, *_ = self.inventory.read_text().splitlines()
        content = yaml.safe_load(self.inventory.read_bytes())
        change(content)
        self.inventory.write_text(f"{head}\n{yaml.safe_dump(content, sort_keys=False)}")

    def runs_on(self, node: str, script: str) -> str:
        """A command of somebody who has a root shell on a node; it has to succeed. Returns its standard output."""
        with connections_of(intent_of_file(self.inventory, None), unobserved) as connections:
            return connections.on(node).check(Command("by hand", script)).text

    @property
    def kept(self) -> Path:
        """What clusterup keeps of the cluster on this operator's machine."""
        return self.state / "clusterup" / "clusters" / self.name

    def adopt(self, cluster: Operator, server: str) -> str:
        """Take over another operator's cluster from one of its servers, with nothing but a key that lets in there."""
        key = str(shutil.copy(cluster.kept / "ssh" / "id_ed25519", self.folder / "key"))
        (node,) = [node for node in yaml.safe_load(cluster.inventory.read_text())["nodes"] if node["name"] == server]
        host_key = (cluster.kept / "nodes" / server / "ssh_host_ed25519_key.pub").read_text().strip()
        place = f"root@{node['ssh']['host']}:{node['ssh']['port']}"
        return self.clusterup("adopt", place, "--key", key, "--host-key", host_key, "--inventory", "lab.yaml")

    def looks(self) -> tuple[Intent, ClusterFacts]:
        """Everything that clusterup knows of the nodes."""
        intent = intent_of_file(self.inventory, self.folder / f"{self.name}.kubeconfig")
        with connections_of(intent, unobserved) as connections:
            return intent, look(intent, connections, parallel=8, observe=unobserved)
