"""What a cluster tells a machine that joins it with a token: everything that an agent of it holds and runs.

It stands in the ConfigMap `clusterup-agent` in kube-system, under the key `agent.json`; there is nothing secret in it.
Whoever joins a machine reads it: `clusterup join`, or the node's own agent. The Secret that is made for one server has
the same of that server, and more: see bootstrap/operations/made_server.py. Format 1:

    format              1
    cluster             {name, id}
    kubernetes          {minor}: 20 for 1.20.2
    payload             {sha256, size, components}: versions by name
    images              [{path, sha256, size, reference}]: container images, and where each lies on a node
    files               [{path, mode, content}]: mode in decimal, content is text
    runtime, kubelet    [{name, reads}]: units, in the order in which they start
    labels              {key: value}: of the Node from its beginning
    taints              [{key, value, effect}]
    authorized_keys     public keys that log in as root
    servers             {name: address}: where the API servers are, each on port 6443
    settings            {ntp, dns, sysctls, modules}: of the installed system, as in an inventory
    trusted_keys        who has to have signed the bundle that a node is made of; left out where nobody has to
    architecture        what its programs are for, by uname's name; left out where that is x86_64
    signed              {manifest, signature}: of that bundle; left out where it is not signed

In `path` and `content`, @NODE@ stands for the name of the node and @ADDRESS@ for its address; nothing else is to be
filled in. `reads` are paths of `files`, what the unit runs with. SHA-256 of the lines "SHA-256  PATH" of those files as
they are on the node, ordered by path, is the unit's digest (see `bootstrap.protocol.files`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from typing import Any

from bootstrap.outside import parsed_json
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.files import NodeFile, digest_of
from bootstrap.protocol.signed_bundle import SignedManifest, signed_manifest

FORMAT = 1
# Of nodes that are not x86_64, which those who knew of x86_64 alone would take for that.
OTHERS_FORMAT = 2
X86_64 = "x86_64"
NODE, ADDRESS = "@NODE@", "@ADDRESS@"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class DescribedPayload:
    """The payload: SHA-256, size in bytes, and versions by name."""

    sha256: str
    size: int
    components: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DescribedImage:
    """A container image: its path on a node, SHA-256, size in bytes, and its name."""

    path: str
    sha256: str
    size: int
    reference: str


@dataclass(frozen=True, slots=True)
class DescribedFile:
    """A file; in `path` and `content` the node's name and address are not filled in yet."""

    path: str
    mode: int
    content: str = field(repr=False)

    def of(self, node: str, address: str) -> NodeFile:
        """The file of a node."""
        path, content = (text.replace(NODE, node).replace(ADDRESS, address) for text in (self.path, self.content))
        return NodeFile(path, content.encode(), self.mode)


@dataclass(frozen=True, slots=True)
class DescribedUnit:
    """A unit's name, and the paths of its own file and of what it reads."""

    name: str
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadUnit:
    """A unit as a node runs it that was described and not rendered here."""

    name: str
    files: tuple[NodeFile, ...]

    @property
    def digest(self) -> str:
        """See `bootstrap.machine.units.Unit.digest`."""
        return digest_of(self.files)

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(sorted(file.path for file in self.files))


@dataclass(frozen=True, slots=True)
class AgentDescription:
    """See above. `settings` are keys of a node in an inventory."""

    cluster: str
    cluster_id: str
    minor: int
    payload: DescribedPayload
    images: tuple[DescribedImage, ...]
    files: tuple[DescribedFile, ...]
    runtime: tuple[DescribedUnit, ...]
    kubelet: tuple[DescribedUnit, ...]
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, str], ...]
    authorized_keys: tuple[str, ...]
    servers: Mapping[str, IPv4Address]
    settings: Mapping[str, Any]
    trusted_keys: tuple[str, ...] = ()
    signed: SignedManifest | None = None
    architecture: str = X86_64

    @property
    def text(self) -> str:
        """Format 1: the same text for the same description."""
        data = {
            "format": FORMAT if self.architecture == X86_64 else OTHERS_FORMAT,
            "cluster": {"name": self.cluster, "id": self.cluster_id},
            "kubernetes": {"minor": self.minor},
            "payload": asdict(self.payload),
            **{name: [asdict(each) for each in getattr(self, name)] for name in _LISTS},
            "labels": dict(self.labels),
            "taints": [dict(taint) for taint in self.taints],
            "authorized_keys": list(self.authorized_keys),
            "servers": {name: str(address) for name, address in self.servers.items()},
            "settings": dict(self.settings),
            **({"trusted_keys": list(self.trusted_keys)} if self.trusted_keys else {}),
            **({"architecture": self.architecture} if self.architecture != X86_64 else {}),
            **({"signed": asdict(self.signed)} if self.signed else {}),
        }
        return json.dumps(data, indent=1, sort_keys=True) + "\n"

    def files_of(self, node: str, address: str) -> tuple[NodeFile, ...]:
        """All files of a node."""
        return tuple(file.of(node, address) for file in self.files)


_LISTS = ("images", "files", "runtime", "kubelet")


def units_of(described: tuple[DescribedUnit, ...], files: tuple[NodeFile, ...]) -> tuple[ReadUnit, ...]:
    """Units as a node with these files runs them. Raises KeyError for one that reads what is not among them."""
    by_path = {file.path: file for file in files}
    return tuple(ReadUnit(unit.name, tuple(by_path[path] for path in unit.reads)) for unit in described)


def parse_description(text: str) -> AgentDescription:
    """The description in `text`. Raises Failure for what this version does not understand."""
    try:
        data = parsed_json(text)
        if data["format"] not in (FORMAT, OTHERS_FORMAT):
            raise Failure(
                "the cluster describes its nodes in a format that this version of clusterup does not know",
                got=f"format {data['format']}, known is {FORMAT}",
                hint="join with the version of clusterup that last applied the cluster, or a newer one",
            )
        made = _description(data)
        paths = {file.path for file in made.files}
        missing = [path for unit in (*made.runtime, *made.kubelet) for path in unit.reads if path not in paths]
        if missing:
            raise ValueError(f"no file {missing[0]}")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Failure(
            "what the cluster says of its nodes can't be understood",
            got=f"{type(error).__name__}: {error}",
            hint="`clusterup apply` of the cluster's operator puts it right; it must not be changed by hand",
        ) from None
    return made


def _description(data: Mapping[str, Any]) -> AgentDescription:
    payload = data["payload"]
    return AgentDescription(
        cluster=_matching(_LABEL, data["cluster"]["name"]),
        cluster_id=_matching(_ID, data["cluster"]["id"]),
        minor=int(data["kubernetes"]["minor"]),
        payload=DescribedPayload(
            _matching(_SHA256, payload["sha256"]), int(payload["size"]), _texts(payload["components"])
        ),
        images=tuple(
            DescribedImage(
                _absolute(each["path"]), _matching(_SHA256, each["sha256"]), int(each["size"]), str(each["reference"])
            )
            for each in data["images"]
        ),
        files=tuple(
            DescribedFile(_absolute(each["path"]), int(each["mode"]), str(each["content"])) for each in data["files"]
        ),
        runtime=_units(data["runtime"]),
        kubelet=_units(data["kubelet"]),
        labels=_texts(data["labels"]),
        taints=tuple(_texts(taint) for taint in data["taints"]),
        authorized_keys=tuple(str(key) for key in data["authorized_keys"]),
        servers={str(name): IPv4Address(address) for name, address in data["servers"].items()},
        settings=dict(data["settings"]),
        trusted_keys=tuple(str(key) for key in data.get("trusted_keys", ())),
        signed=signed_manifest(data["signed"]) if "signed" in data else None,
        architecture=str(data.get("architecture", X86_64)),
    )


def _units(found: list[dict[str, Any]]) -> tuple[DescribedUnit, ...]:
    return tuple(DescribedUnit(str(each["name"]), tuple(str(path) for path in each["reads"])) for each in found)


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()}


def _matching(pattern: re.Pattern[str], text: Any) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise ValueError(f"not as it should be: {text!r:.80}")
    return text


def _absolute(path: Any) -> str:
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"no absolute path: {path!r:.80}")
    return path
