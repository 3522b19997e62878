"""What was found: the facts of every node, of the etcd cluster and of the API. Values, read once, never changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from bootstrap.errors import ClusterupError
from bootstrap.manifests.model import ManifestFacts


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A disk. `size` in bytes; `contents` says in words what is on it, empty for a bare disk; `partitions` are the
    names in its partition table, as far as the running kernel knows it. `ranges` maps the name of each stretch that was
    asked for to its SHA-256, where the disk is neither bare nor in use."""

    path: str
    size: int
    model: str = ""
    serial: str = ""
    aliases: tuple[str, ...] = ()
    contents: str = ""
    in_use: bool = False
    readonly: bool = False
    partitions: tuple[str, ...] = ()
    ranges: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """A network card: its addresses with prefix lengths."""

    name: str
    mac: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """A unit: systemd's ActiveState, and the digest it was started with (None when it never was), and when that was
    (seconds since the epoch, by the node's clock)."""

    active: str
    applied: str | None
    since: str = ""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A machine as it is. `kind`: our live environment, our installed system, or another Linux.

    `memory` in bytes; `skew` in seconds, positive when the node's clock is ahead of the operator's. `files`
    maps each path that was asked for and is there to its SHA-256, `modes` to its mode as in chmod. `payload` is the
    SHA-256 of the payload that is linked for systemd-sysext. `etcd_data`: etcd has been started here and keeps
    its data. `traces` are paths on an installed system that an installation does not make.
    """

    hostname: str
    kind: Literal["live", "installed", "other"]
    machine_id: str
    boot_id: str
    skew: float
    memory: int
    cpus: int
    architecture: str
    uefi: bool
    os_version: str | None = None
    cluster_id: str | None = None
    configuration: str | None = None
    payload: str | None = None
    etcd_data: bool = False
    traces: tuple[str, ...] = ()
    interfaces: tuple[InterfaceFacts, ...] = ()
    disks: tuple[DiskFacts, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, UnitFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EtcdMemberFacts:
    """A member of the quorum; `name` is empty until it has started once."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    learner: bool


@dataclass(frozen=True, slots=True)
class ForgottenVotes:
    """A server that runs the release `etcd`, and whose data says of `members`, by id, that they have no vote,
    which they have."""

    server: str
    etcd: str
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EtcdFacts:
    """The etcd cluster as one of its members sees it. `well` are the servers whose members have a vote and
    answer through the quorum; they are asked when a node leaves. `forgotten` are votes that a server's data does not
    know of."""

    members: tuple[EtcdMemberFacts, ...]
    well: frozenset[str] = frozenset()
    forgotten: tuple[ForgottenVotes, ...] = ()

    def named(self, name: str) -> EtcdMemberFacts | None:
        return next((member for member in self.members if member.name == name), None)


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod that has to go elsewhere when its node leaves. `owned`: something sees to it that there is another one."""

    namespace: str
    name: str
    owned: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """A volume on a node's own disk: whose claim it is (namespace/name), and its size as it is written."""

    claim: str
    size: str

    def __str__(self) -> str:
        return f"{self.claim} ({self.size})"


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """What the API server says: which nodes are Ready, the objects of ours that are there, by kind/name, and the pods
    and volumes of nodes that are leaving, by node."""

    ready: Mapping[str, bool]
    objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pods: Mapping[str, tuple[PodFacts, ...]] = field(default_factory=dict)
    volumes: Mapping[str, tuple[VolumeFacts, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OnConsole:
    """A node without a network whose console shows our installed system: the SHA-256 of the `configuration` that it was
    started with, or why it has none. No one logs in there, so that nothing else is known of it."""

    configuration: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A node of which nothing is known, and why."""

    error: ClusterupError


Seen = NodeFacts | OnConsole | Unreachable
"""What was seen of a node."""


@dataclass(frozen=True)
class ClusterFacts:
    """All that is known. `seen` has every node that was looked at, `going` those of them that are to leave. `etcd`,
    `api` and `manifests` (what came of an inventory's own objects) are None where nothing answers (yet)."""

    seen: Mapping[str, Seen]
    etcd: EtcdFacts | None = None
    api: ApiFacts | None = None
    going: frozenset[str] = frozenset()
    manifests: ManifestFacts | None = None

    @cached_property
    def nodes(self) -> Mapping[str, NodeFacts]:
        """The nodes that stay and were reached."""
        return self._reached(frozenset(self.seen) - self.going)

    @cached_property
    def unreachable(self) -> Mapping[str, ClusterupError]:
        """Why nodes that stay were not reached."""
        return self._errors(frozenset(self.seen) - self.going)

    @cached_property
    def on_console(self) -> Mapping[str, str]:
        """The configurations of nodes that are known by their consoles alone."""
        return {name: found.configuration for name, found in self.seen.items() if isinstance(found, OnConsole)}

    @cached_property
    def leaving(self) -> Mapping[str, NodeFacts]:
        """The nodes that are to leave and were reached."""
        return self._reached(self.going)

    @cached_property
    def away(self) -> Mapping[str, ClusterupError]:
        """Why nodes that are to leave were not reached."""
        return self._errors(self.going)

    @property
    def anything_found(self) -> bool:
        """Whether at least one machine showed what it is."""
        return bool(self.nodes or self.on_console)

    def _reached(self, names: Collection[str]) -> Mapping[str, NodeFacts]:
        return {name: found for name, found in self.seen.items() if name in names and isinstance(found, NodeFacts)}

    def _errors(self, names: Collection[str]) -> Mapping[str, ClusterupError]:
        return {
            name: found.error for name, found in self.seen.items() if name in names and isinstance(found, Unreachable)
        }
