"""What a node of a cluster holds and runs, as the cluster tells it to whoever joins with a token.

Format 1 of the ConfigMap `clusterup-agent`, see bootstrap/steps/agent_description.py; and of the Secret that was made
for one server, see bootstrap/steps/made_server.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from outside import parsed_json
from trouble import Trouble

FORMAT = 1
NODE, ADDRESS = "@NODE@", "@ADDRESS@"
# Where agents keep what the description may name: nothing else of a machine is written because a cluster says so.
FOLDERS = ("/etc/", "/var/lib/clusterup/images/")
HANDOVER = "/var/lib/clusterup/handover.json"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class Artifact:
    """What is fetched by its SHA-256, `size` bytes, and lies at `path` then."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class File:
    """A file with the node's name and address filled in."""

    path: str
    mode: int
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Unit:
    """A unit's name, and the digest of what it should run with."""

    name: str
    digest: str


@dataclass(frozen=True)
class Agent:
    """This machine as an agent: the cluster's name and id, its servers' addresses, what is fetched, what is written,
    and the units in the order in which they start."""

    cluster: str
    cluster_id: str
    servers: tuple[str, ...]
    payload: Artifact
    images: tuple[Artifact, ...]
    files: tuple[File, ...]
    runtime: tuple[Unit, ...]
    kubelet: tuple[Unit, ...]


@dataclass(frozen=True)
class ServerParts:
    """What a server has beside what every node has: its name and address, its units, the file that it keeps for
    operators once it has its vote, and what is merged into its Node."""

    name: str
    address: str
    etcd: tuple[Unit, ...]
    control_plane: tuple[Unit, ...]
    handover: File
    node: Mapping[str, Any] = field(repr=False)


def agent_of(text: str, node: str, address: str) -> Agent:
    """The agent of that name and address. Raises Trouble for a description that this node's agent does not know."""
    with _understood():
        return _agent(_known(text), node, address)


def server_of(text: str) -> tuple[Agent, ServerParts]:
    """What the one server holds and runs that the description was made for. Raises Trouble as `agent_of` does."""
    with _understood():
        data = _known(text)
        own = data["server"]
        name, address = str(own["name"]), str(own["address"])
        files = _files(data, name, address)
        parts = ServerParts(
            name,
            address,
            _units(own["etcd"], files),
            _units(own["control_plane"], files),
            File(HANDOVER, 0o600, str(own["handover"]).encode()),
            dict(own["node"]),
        )
        return _agent(data, name, address), parts


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Trouble(
            "what the cluster says of its nodes can't be understood",
            got=f"{type(error).__name__}: {error}",
            hint="`clusterup apply` of the cluster's operator puts it right",
        ) from None


def _known(text: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = parsed_json(text)
    if data["format"] != FORMAT:
        raise Trouble(
            "the cluster describes its nodes in a format that this one does not know",
            got=f"format {data['format']}, known is {FORMAT}",
            hint="install this machine with the cluster's own version of clusterup",
        )
    return data


def _files(data: Mapping[str, Any], node: str, address: str) -> Mapping[str, File]:
    return {(made := _file(each, node, address)).path: made for each in data["files"]}


def _units(listed: Sequence[Mapping[str, Any]], files: Mapping[str, File]) -> tuple[Unit, ...]:
    return tuple(Unit(str(each["name"]), _digest([files[path] for path in each["reads"]])) for each in listed)


def _agent(data: Mapping[str, Any], node: str, address: str) -> Agent:
    files = _files(data, node, address)
    payload = data["payload"]
    return Agent(
        cluster=str(data["cluster"]["name"]),
        cluster_id=str(data["cluster"]["id"]),
        servers=tuple(str(address) for address in data["servers"].values()),
        payload=_artifact(f"/var/lib/clusterup/payloads/{payload['sha256']}.raw", payload),
        images=tuple(_artifact(_allowed(each["path"]), each) for each in data["images"]),
        files=tuple(files.values()),
        runtime=_units(data["runtime"], files),
        kubelet=_units(data["kubelet"], files),
    )


def _file(each: Mapping[str, Any], node: str, address: str) -> File:
    path, content = (str(each[key]).replace(NODE, node).replace(ADDRESS, address) for key in ("path", "content"))
    return File(_allowed(path), int(each["mode"]), content.encode())


def _artifact(path: str, each: Mapping[str, Any]) -> Artifact:
    if not _SHA256.fullmatch(each["sha256"]):
        raise ValueError(f"no SHA-256: {each['sha256']!r:.80}")
    return Artifact(path, each["sha256"], int(each["size"]))


def _allowed(path: str) -> str:
    if not path.startswith(FOLDERS) or ".." in path.split("/"):
        raise ValueError(f"no place for an agent's file: {path!r:.80}")
    return path


def _digest(files: list[File]) -> str:
    said = "".join(
        f"{hashlib.sha256(file.content).hexdigest()}  {file.path}\n"
        for file in sorted(files, key=lambda file: file.path)
    )
    return hashlib.sha256(said.encode()).hexdigest()
