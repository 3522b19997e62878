"""Makes, grows and removes the volumes of this node, as claims ask for them.

A claim waits for its pod, the scheduler chooses a node for that, and the agent of this node makes the volume; whoever
made one deletes it. Nobody else has to run for that.
Source: https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
"""

from __future__ import annotations

import http.client
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from bootstrap.node.api import MERGE, Refusal
from bootstrap.node.volumes.disk import NoRoom, Volumes
from bootstrap.node.volumes.model import Claim, Volume, manifest
from bootstrap.node.watch.mirror import Mirror

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"
CONFLICT, NOT_FOUND = 409, 404
# What could not be done is tried again after so long, and each time after twice as long.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0
# What was done is not done again while the news of it are under way.
NEWS_SECONDS = 30.0
WRONG = (OSError, ValueError, LookupError, TypeError, http.client.HTTPException, subprocess.SubprocessError, Refusal)


class Asks(Protocol):
    """What this asks of an API server (`bootstrap.node.api.Api`)."""

    def call(self, method: str, path: str, body: object = None, kind: str = ...) -> Any: ...
    def find(self, path: str) -> Any: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do: `what` is make, grow or remove; `key` tells it from all others."""

    what: str
    name: str
    claim: Claim | None = None
    volume: Volume | None = None

    @property
    def key(self) -> str:
        return f"{self.what} {self.name} {self.claim.size if self.claim else ''}"


def tasks(node: str, claims: Iterable[Claim], volumes: Iterable[Volume], half_gone: Iterable[str]) -> list[Task]:
    """What is to do on this node. A directory without a volume in Kubernetes is left alone, whatever it holds: nobody
    said that it may go."""
    there = {volume.name: volume for volume in volumes}
    found = []
    for claim in claims:
        volume = there.get(claim.volume_name)
        if volume is None:
            if claim.node == node and not claim.volume:
                found.append(Task("make", claim.volume_name, claim))
        elif volume.node == node and claim.volume == volume.name and max(volume.size, claim.wanted) > claim.has > 0:
            found.append(Task("grow", volume.name, claim, volume))
    ours = [volume for volume in there.values() if volume.node == node]
    found += [Task("remove", volume.name, None, volume) for volume in ours if volume.goes]
    # Its object is gone, which is the last thing that happens, and the machine was switched off just then.
    found += [Task("remove", name) for name in half_gone if name not in there]
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """What the cluster has of claims and volumes, followed."""

    claims: Mirror[Claim]
    volumes: Mirror[Volume]


class VolumeKeeper:
    """`node` is this one's name, `disk` where its volumes are; `say` is told what was done."""

    def __init__(
        self,
        node: str,
        known: Known,
        disk: Volumes,
        api: Asks,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node, self._claims, self._volumes, self._disk = node, known.claims, known.volumes, disk
        self._api, self._say, self._clock = api, say, clock
        self._due: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._unenforced = False

    def round(self) -> str:
        """Do what is to do. Returns what could not be done, or an empty text."""
        self._claims.take()
        self._volumes.take()
        if not (self._claims.whole and self._volumes.whole):
            return ""
        if problem := self._disk.problem:
            return problem
        found = tasks(self._node, self._claims.items.values(), self._volumes.items.values(), self._disk.half_gone)
        self._forget_all_but({task.key for task in found})
        for task in found:
            if self._clock() >= self._due.get(task.key, 0.0):
                self._try(task)
        # Until there is something to do again, the other end would have closed it.
        self._api.close()
        return "; ".join(sorted(set(self._told.values())))

    def _forget_all_but(self, keys: set[str]) -> None:
        self._due = {key: at for key, at in self._due.items() if key in keys}
        self._pauses = {key: pause for key, pause in self._pauses.items() if key in keys}
        self._told = {key: words for key, words in self._told.items() if key in keys}

    def _try(self, task: Task) -> None:
        try:
            self._do(task)
        except (NoRoom, *WRONG) as error:
            pause = self._pauses.get(task.key, FIRST_PAUSE_SECONDS)
            self._due[task.key], self._pauses[task.key] = self._clock() + pause, min(2 * pause, LONGEST_PAUSE_SECONDS)
            words = str(error) if isinstance(error, NoRoom | Unfit) else f"{type(error).__name__}: {error}"
            self._tell(task, words)
        else:
            self._due[task.key] = self._clock() + NEWS_SECONDS
            self._told.pop(task.key, None)

    def _do(self, task: Task) -> None:
        if task.what == "make" and task.claim is not None:
            self._make(task.claim)
        elif task.what == "grow" and task.claim is not None and task.volume is not None:
            self._grow(task.claim, task.volume)
        else:
            self._remove(task)

    def _make(self, claim: Claim) -> None:
        if claim.problem:
            raise Unfit(claim.problem)
        found = self._api.find(f"{CLASSES}/{quote(claim.storage_class, safe='')}")
        if found is None:
            raise LookupError(f"there is no storage class {claim.storage_class}")
        if not self._disk.path(claim.volume_name).exists():
            self._disk.require_room(claim.wanted, self._given)
        path = self._disk.make(claim.volume_name, claim.wanted)
        self._say_where_sizes_are_wishes()
        try:
            wanted = manifest(claim, self._node, str(path), str(found.get("reclaimPolicy") or "Delete"))
            self._api.call("POST", VOLUMES, wanted)
        except Refusal as refusal:
            if refusal.status != CONFLICT:
                raise
        self._say(f"volume {claim.volume_name}: {claim.size} for {claim.namespace}/{claim.name}")

    def _grow(self, claim: Claim, volume: Volume) -> None:
        """First the disk, then the volume, then the claim: what is promised is there."""
        size = max(volume.size, claim.wanted)
        if size > volume.size:
            self._disk.require_room(size - volume.size, self._given)
        self._disk.resize(volume.name, size)
        written = {"storage": claim.size if size == claim.wanted else str(size)}
        if size > volume.size:
            self._api.call("PATCH", f"{VOLUMES}/{volume.name}", {"spec": {"capacity": written}}, MERGE)
        place = f"/api/v1/namespaces/{claim.namespace}/persistentvolumeclaims/{quote(claim.name, safe='')}/status"
        self._api.call("PATCH", place, {"status": {"capacity": written, "conditions": None}}, MERGE)
        self._say(f"volume {volume.name}: {written['storage']} now, for {claim.namespace}/{claim.name}")

    def _remove(self, task: Task) -> None:
        self._disk.remove(task.name)
        if task.volume is not None:
            try:
                self._api.call("DELETE", f"{VOLUMES}/{task.name}")
            except Refusal as refusal:
                if refusal.status != NOT_FOUND:
                    raise
        self._say(f"volume {task.name}: deleted, its claim is gone")

    @property
    def _given(self) -> int:
        """Bytes of all volumes of this node."""
        return sum(volume.size for volume in self._volumes.items.values() if volume.node == self._node)

    def _say_where_sizes_are_wishes(self) -> None:
        if not self._unenforced and not self._disk.enforced:
            self._unenforced = True
            self._say(
                "the sizes of volumes are not enforced: this node's disk was made by an earlier clusterup (a new "
                "installation makes one that does)"
            )

    def _tell(self, task: Task, words: str) -> None:
        """Whoever waits for the claim reads why in its events."""
        if self._told.get(task.key) == words:
            return
        self._told[task.key] = words
        claim = task.claim
        if claim is None:
            return
        try:
            self._api.call(
                "POST", f"/api/v1/namespaces/{claim.namespace}/events", event(self._node, task, claim, words)
            )
        except WRONG as error:
            self._say(f"{claim.namespace}/{claim.name}: no event was written: {type(error).__name__}: {error}")


class Unfit(ValueError):
    """The claim asks for what a directory can't give."""


def event(node: str, task: Task, claim: Claim, words: str) -> dict[str, Any]:
    """What `kubectl describe` shows below a claim."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "clusterup-volume-", "namespace": claim.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": claim.namespace,
            "name": claim.name,
            "uid": claim.uid,
        },
        "type": "Warning",
        "reason": "ProvisioningFailed" if task.what == "make" else "VolumeResizeFailed",
        "message": f"{node}: {words}",
        "source": {"component": "clusterup", "host": node},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
