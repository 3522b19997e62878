"""What a node of a cluster holds and runs, as the cluster tells it to whoever joins with a token: the manifest of
`bootstrap.protocol.join_manifest`, with the name and the address of this machine; and what was made for one server
(bootstrap/operations/made_server.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bootstrap.constants.paths import HANDOVER, IMAGES_FOLDER, PAYLOADS, TRUSTED_KEYS
from bootstrap.outside import parsed_json
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.files import NodeFile
from bootstrap.protocol.join_manifest import (
    X86_64,
    AgentDescription,
    DescribedUnit,
    ReadUnit,
    parse_description,
    units_of,
)
from bootstrap.protocol.signed_bundle import SignedManifest

# Where agents keep what the description may name: nothing else of a machine is written because a cluster says so.
FOLDERS = ("/etc/", f"{IMAGES_FOLDER}/")


@dataclass(frozen=True)
class Artifact:
    """What is fetched by its SHA-256, `size` bytes, and lies at `path` then."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Agent:
    """This machine as an agent: the cluster's name and id, its servers' addresses, what is fetched, what is written,
    and the units in the order in which they start."""

    cluster: str
    cluster_id: str
    servers: tuple[str, ...]
    payload: Artifact
    images: tuple[Artifact, ...]
    files: tuple[NodeFile, ...]
    runtime: tuple[ReadUnit, ...]
    kubelet: tuple[ReadUnit, ...]
    signed: SignedManifest | None = None
    architecture: str = X86_64

    @property
    def digests(self) -> Mapping[str, str]:
        """What is fetched: its path, by SHA-256."""
        return {artifact.sha256: artifact.path for artifact in (self.payload, *self.images)}


@dataclass(frozen=True)
class ServerParts:
    """What a server has beside what every node has: its name and address, its units, the file that it keeps for
    operators once it has its vote, and what is merged into its Node."""

    name: str
    address: str
    etcd: tuple[ReadUnit, ...]
    control_plane: tuple[ReadUnit, ...]
    handover: NodeFile
    node: Mapping[str, Any] = field(repr=False)


def agent_of(text: str, node: str, address: str) -> Agent:
    """The agent of that name and address. Raises Failure for a description that this node's agent does not know."""
    with _understood():
        return _agent(parse_description(text), node, address)


def server_of(text: str) -> tuple[Agent, ServerParts]:
    """What the one server holds and runs that the description was made for. Raises Failure as `agent_of` does."""
    with _understood():
        described = parse_description(text)
        own = parsed_json(text)["server"]
        agent = _agent(described, str(own["name"]), str(own["address"]))

        def units(listed: list[dict[str, Any]]) -> tuple[ReadUnit, ...]:
            described = tuple(DescribedUnit(str(each["name"]), tuple(map(str, each["reads"]))) for each in listed)
            return units_of(described, agent.files)

        parts = ServerParts(
            str(own["name"]),
            str(own["address"]),
            units(own["etcd"]),
            units(own["control_plane"]),
            NodeFile(HANDOVER, str(own["handover"]).encode(), 0o600),
            dict(own["node"]),
        )
        return agent, parts


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Failure(
            "what the cluster says of its nodes can't be understood",
            got=f"{type(error).__name__}: {error}",
            hint="`clusterup apply` of the cluster's operator puts it right",
        ) from None


def _agent(described: AgentDescription, node: str, address: str) -> Agent:
    files = described.files_of(node, address)
    for path in (*(file.path for file in files), *(image.path for image in described.images)):
        _check_place(path)
    payload = described.payload
    return Agent(
        cluster=described.cluster,
        cluster_id=described.cluster_id,
        servers=tuple(map(str, described.servers.values())),
        payload=Artifact(f"{PAYLOADS}/{payload.sha256}.raw", payload.sha256, payload.size),
        images=tuple(Artifact(image.path, image.sha256, image.size) for image in described.images),
        files=files,
        runtime=units_of(described.runtime, files),
        kubelet=units_of(described.kubelet, files),
        signed=described.signed,
        architecture=described.architecture,
    )


def _check_place(path: str) -> None:
    # Whom this machine trusts is not for the cluster to say.
    if not path.startswith(FOLDERS) or ".." in path.split("/") or path == TRUSTED_KEYS:
        raise ValueError(f"not a place for an agent's file: {path!r:.80}")
