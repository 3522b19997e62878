"""Two writers that never rest, one through the API and one straight to etcd: what was acknowledged has to be there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from bootstrap.clients.etcd import EtcdClient
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.tunnel import etcd_at
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import unobserved
from bootstrap.errors import ClusterupError
from bootstrap.operations.clients import endpoint_client
from bootstrap.operations.connections import connections_of
from bootstrap.operations.intent import Intent

EVERY_SECONDS = 0.05
Client = TypeVar("Client")
NAMESPACE = "default"
PREFIX = "/writer/"


@dataclass
class Written:
    """The numbers that were acknowledged, in order, the moment of each acknowledgement (seconds of the monotonic
    clock), and how often a write was not."""

    numbers: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def longest_pause(self) -> float:
        """The longest time without an acknowledgement, in seconds."""
        return max((later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)), default=0.0)

    def note(self, number: int) -> None:
        self.numbers.append(number)
        self.times.append(time.monotonic())


@contextmanager
def writing(intent: Intent, server: str) -> Iterator[dict[str, Written]]:
    """While the context lasts, a ConfigMap and a key of etcd are written every 50 ms: through the endpoint of the
    kubeconfig, and to the member on `server`. What was acknowledged stands in the two values, "api" and "etcd"."""
    found = {"api": Written(), "etcd": Written()}
    stop = threading.Event()
    with connections_of(intent, unobserved) as ways:
        threads = [
            threading.Thread(target=_through_the_api, args=(intent, found["api"], stop)),
            threading.Thread(target=_to_etcd, args=(intent, ways, server, found["etcd"], stop)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield found
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def lost(intent: Intent, server: str, found: dict[str, Written]) -> dict[str, set[int]]:
    """What was acknowledged and is not there."""
    with endpoint_client(intent) as api, connections_of(intent, unobserved) as ways:
        there = {item["metadata"]["name"] for item in api.list("ConfigMap", NAMESPACE)}
        with etcd_at(ways.on(server), intent.keys) as etcd:
            # One read for all of them, which clusterup itself has no use for: ten thousand of their own take an hour.
            keys = {about.key.decode() for _, about in etcd._client.get_prefix(PREFIX, keys_only=True)}
            missing = {number for number in found["etcd"].numbers if _key(number) not in keys}
    return {"api": {number for number in found["api"].numbers if _name(number) not in there}, "etcd": missing}


def _through_the_api(intent: Intent, written: Written, stop: threading.Event) -> None:
    def write(api: KubeClient, number: int) -> None:
        metadata = {"name": _name(number), "namespace": NAMESPACE}
        api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"number": str(number)}})

    _write(lambda stack: stack.enter_context(endpoint_client(intent)), write, written, stop)


def _to_etcd(intent: Intent, ways: Connections, server: str, written: Written, stop: threading.Event) -> None:
    def write(etcd: EtcdClient, number: int) -> None:
        etcd.put(_key(number), str(number))

    _write(lambda stack: stack.enter_context(etcd_at(ways.on(server), intent.keys)), write, written, stop)


def _write(
    opened: Callable[[ExitStack], Client],
    write: Callable[[Client, int], None],
    written: Written,
    stop: threading.Event,
) -> None:
    number = 0
    while not stop.is_set():
        with ExitStack() as stack:
            try:
                client = opened(stack)
                while not stop.wait(EVERY_SECONDS):
                    number += 1
                    write(client, number)
                    written.note(number)
            except ClusterupError:
                written.refused += 1
                # Whatever was wrong with the way, the next write takes a new one.
                stop.wait(EVERY_SECONDS)


def _name(number: int) -> str:
    return f"writer-{number}"


def _key(number: int) -> str:
    return f"{PREFIX}{number}"
