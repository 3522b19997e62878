"""The node's agent: follows the cluster through the local balancer, and keeps this node's part of it as it should be:
the pod network, and the names that the cluster's DNS answers with on this node.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bootstrap.node.names.keep import NameKeeper
from bootstrap.node.names.records import service_of, slice_of
from bootstrap.node.network.keep import RouteKeeper
from bootstrap.node.network.routes import peer_of
from bootstrap.node.watch.follow import ApiServer, Follower, Kind
from bootstrap.node.watch.mirror import Mirror

# How often is looked whether somebody has taken away what this node needs, and whether unbound has started anew.
LOOK_SECONDS = 2.0
# What changes together is told unbound together.
GATHER_SECONDS = 0.05
NODES = Kind("nodes", ("/api/v1/nodes",), peer_of)
SERVICES = Kind("services", ("/api/v1/services",), service_of)
SLICES = Kind(
    "endpoints", ("/apis/discovery.k8s.io/v1/endpointslices", "/apis/discovery.k8s.io/v1beta1/endpointslices"), slice_of
)
T = TypeVar("T")


def main(path: str) -> int:
    """Keep this node as the settings in the file at `path` ask, until SIGTERM: see `bootstrap.spec.agent`."""
    settings = json.loads(Path(path).read_text())
    stop, woken = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        stop.set()
        woken.set()

    signal.signal(signal.SIGTERM, end)
    server = ApiServer(settings["server"], settings["ca"], settings["certificate"])

    def followed(kind: Kind[T]) -> Mirror[T]:
        mirror: Mirror[T] = Mirror(woken.set)
        follower = Follower(kind, server, mirror, say)
        threading.Thread(target=follower.run, args=(stop,), name=kind.name, daemon=True).start()
        return mirror

    rounds: list[Callable[[], str]] = []
    names = None
    # Settings from before there were names say nothing of either.
    if "pods" in settings:
        rounds.append(RouteKeeper(settings, followed(NODES)).round)
    if "dns" in settings:
        names = NameKeeper(settings["dns"], followed(SERVICES), followed(SLICES))
        rounds.append(names.round)
    said = [""] * len(rounds)
    while not stop.is_set():
        for index, each in enumerate(rounds):
            problem = tried(each)
            # The same trouble in every round would fill the journal and say nothing new.
            if problem != said[index]:
                say(problem or "as the cluster has it")
                said[index] = problem
        if woken.wait(LOOK_SECONDS):
            stop.wait(GATHER_SECONDS)
            woken.clear()
    if names is not None:
        names.save()
    return 0


def tried(work: Callable[[], str]) -> str:
    """What is wrong after a round, in words; empty where nothing is."""
    try:
        return work()
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"


def say(text: str) -> None:
    """A line for the journal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
