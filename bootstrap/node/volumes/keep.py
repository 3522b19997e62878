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
from bootstrap.node.volumes.model import Claim, Volume, manifest, volume_of
from bootstrap.node.watch.mirror import Mirror

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"
CONFLICT, NOT_FOUND = 409, 404
# What could not be done is tried again after so long, and each time after twice as long.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0
# What was done is not done again while the news of it are under way.
NEWS_SECONDS = 30.0
# The scheduler does not choose again for a claim that has a node: only whoever may change claims could make it.
ANOTHER_NODE = (
    ". It is tried again here; for another node, or another size: delete the pod and the claim, and make them again, "
    "the pod with a nodeSelector"
)
# API servers forget events after an hour.
TELL_AGAIN_SECONDS = 1800.0
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
        self._problems: dict[str, str] = {}
        self._told: dict[str, tuple[str, float]] = {}
        # Sizes of what was made or has grown, and is not among what the cluster is known to have yet.
        self._promised: dict[str, int] = {}
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
        return "; ".join(sorted(set(self._problems.values())))

    def _forget_all_but(self, keys: set[str]) -> None:
        self._due = {key: at for key, at in self._due.items() if key in keys}
        self._pauses = {key: pause for key, pause in self._pauses.items() if key in keys}
        self._problems = {key: words for key, words in self._problems.items() if key in keys}
        self._told = {key: told for key, told in self._told.items() if key in keys}

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
            self._problems.pop(task.key, None)

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
        self._promise(claim.volume_name, claim.wanted)
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
            self._promise(volume.name, size)
        self._disk.resize(volume.name, size)
        written = {"storage": claim.size if size == claim.wanted else str(size)}
        if size > volume.size:
            self._api.call("PATCH", f"{VOLUMES}/{volume.name}", {"spec": {"capacity": written}}, MERGE)
        place = f"/api/v1/namespaces/{claim.namespace}/persistentvolumeclaims/{quote(claim.name, safe='')}/status"
        self._api.call("PATCH", place, {"status": {"capacity": written, "conditions": None}}, MERGE)
        self._say(f"volume {volume.name}: {written['storage']} now, for {claim.namespace}/{claim.name}")

    def _remove(self, task: Task) -> None:
        """Delete its data, then the volume. Somebody may have said meanwhile that it is to stay, so that the cluster is
        asked once more."""
        place = f"{VOLUMES}/{task.name}"
        found = self._api.find(place) if task.volume is not None else None
        there = volume_of(found) if found is not None else None
        if there is not None and not there.goes:
            return
        self._disk.remove(task.name)
        # That may have taken longer than the other end keeps a connection.
        self._api.close()
        if found is not None:
            condition = {"preconditions": {"uid": found["metadata"]["uid"]}}
            try:
                self._api.call("DELETE", place, {"apiVersion": "v1", "kind": "DeleteOptions", **condition})
            except Refusal as refusal:
                if refusal.status != NOT_FOUND:
                    raise
        self._say(f"volume {task.name}: deleted, its claim is gone")

    def _promise(self, name: str, size: int) -> None:
        """Raise NoRoom where a volume of that size does not fit beside all others of this node."""
        known = {each.name: each.size for each in self._volumes.items.values() if each.node == self._node}
        self._promised = {each: more for each, more in self._promised.items() if known.get(each, 0) < more}
        others = {**known, **self._promised}
        mine = others.pop(name, 0)
        self._disk.require_room(size, sum(others.values()), more=size - mine)
        self._promised[name] = size

    def _say_where_sizes_are_wishes(self) -> None:
        if not self._unenforced and not self._disk.enforced:
            self._unenforced = True
            self._say(
                "the sizes of volumes are not enforced: this node's disk was made by an earlier clusterup (a new "
                "installation makes one that does)"
            )

    def _tell(self, task: Task, words: str) -> None:
        """Whoever waits for the claim reads why in its events."""
        self._problems[task.key] = words
        said, at = self._told.get(task.key, ("", 0.0))
        claim = task.claim
        if claim is None or (said == words and self._clock() - at < TELL_AGAIN_SECONDS):
            return
        try:
            place = f"/api/v1/namespaces/{claim.namespace}/events"
            self._api.call("POST", place, event(self._node, task, claim, words))
            self._told[task.key] = words, self._clock()
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
        "message": f"{node}: {words}{ANOTHER_NODE if task.what == 'make' else ''}",
        "source": {"component": "clusterup", "host": node},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
