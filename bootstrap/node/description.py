"""What an agent of a cluster holds and runs, as the cluster tells it to whoever joins with a token.

Format 1 of the ConfigMap `clusterup-agent`; see bootstrap/steps/agent_description.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trouble import Trouble

FORMAT = 1
NODE, ADDRESS = "@NODE@", "@ADDRESS@"
# Where agents keep what the description may name: nothing else of a machine is written because a cluster says so.
FOLDERS = ("/etc/", "/var/lib/clusterup/images/")
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


def agent_of(text: str, node: str, address: str) -> Agent:
    """The agent of that name and address. Raises Trouble for a description that this node's agent does not know."""
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise Trouble(
                "the cluster describes its agents in a format that this node does not know",
                got=f"format {data['format']}, known is {FORMAT}",
                hint="install this machine with the cluster's own version of clusterup",
            )
        return _agent(data, node, address)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Trouble(
            "what the cluster says of its agents can't be understood",
            got=f"{type(error).__name__}: {error}",
            hint="`clusterup apply` of the cluster's operator puts it right",
        ) from None


def _agent(data: Mapping[str, Any], node: str, address: str) -> Agent:
    files = {(made := _file(each, node, address)).path: made for each in data["files"]}

    def units(name: str) -> tuple[Unit, ...]:
        return tuple(Unit(str(each["name"]), _digest([files[path] for path in each["reads"]])) for each in data[name])

    payload = data["payload"]
    return Agent(
        cluster=str(data["cluster"]["name"]),
        cluster_id=str(data["cluster"]["id"]),
        servers=tuple(str(address) for address in data["servers"].values()),
        payload=_artifact(f"/var/lib/clusterup/payloads/{payload['sha256']}.raw", payload),
        images=tuple(_artifact(_allowed(each["path"]), each) for each in data["images"]),
        files=tuple(files.values()),
        runtime=units("runtime"),
        kubelet=units("kubelet"),
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
