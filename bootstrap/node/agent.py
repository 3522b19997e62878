"""The node's agent: follows the cluster through the local balancer, and keeps this node's part of it as it should be:
the pod network, the names that the cluster's DNS answers with on this node, and the volumes on its disk.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bootstrap.node.api import Api
from bootstrap.node.names.keep import NameKeeper
from bootstrap.node.names.records import service_of, slice_of
from bootstrap.node.network.keep import RouteKeeper
from bootstrap.node.network.routes import peer_of
from bootstrap.node.volumes.disk import Volumes
from bootstrap.node.volumes.keep import Known, VolumeKeeper
from bootstrap.node.volumes.model import claim_of, volume_of
from bootstrap.node.watch.follow import ApiServer, Kind
from bootstrap.node.watch.following import Round, Service, say

NODES = Kind("nodes", ("/api/v1/nodes",), peer_of)
SERVICES = Kind("services", ("/api/v1/services",), service_of)
SLICES = Kind(
    "endpoints", ("/apis/discovery.k8s.io/v1/endpointslices", "/apis/discovery.k8s.io/v1beta1/endpointslices"), slice_of
)
CLAIMS = Kind("claims", ("/api/v1/persistentvolumeclaims",), claim_of)
VOLUMES = Kind("volumes", ("/api/v1/persistentvolumes",), volume_of)
# How long the end waits for a volume that is being made; systemd waits longer. A large one is deleted further at the
# next start.
END_SECONDS = 30.0


def main(path: str) -> int:
    """Keep this node as the settings in the file at `path` ask, until SIGTERM: see `bootstrap.spec.agent`."""
    settings = json.loads(Path(path).read_text())
    service = Service()
    server = ApiServer(settings["server"], settings["ca"], settings["certificate"])
    woken = service.waker()
    rounds: list[Round] = []
    names: NameKeeper | None = None
    # Settings from before there were names, or volumes, say nothing of them.
    if "dns" in settings:
        found = service.follow(SERVICES, server, woken), service.follow(SLICES, server, woken)
        names = NameKeeper(settings["dns"], *found)
        rounds.append(tried(names.round))
    if "pods" in settings:
        answers = (lambda: True) if names is None else (lambda: names.fed)
        rounds.append(tried(RouteKeeper(settings, service.follow(NODES, server, woken), answers).round))
    keeping = _keep_volumes(settings, service, server) if "volumes" in settings else None
    service.go_round(rounds, woken)
    if names is not None:
        names.save()
    if keeping is not None:
        keeping.join(END_SECONDS)
    return 0


def _keep_volumes(settings: Mapping[str, Any], service: Service, server: ApiServer) -> threading.Thread:
    """A thread of its own: deleting what is in a volume may take long, and names don't wait for that."""
    woken = service.waker()
    api = Api({**settings, "key": settings["certificate"]})
    disk = Volumes(Path(settings["volumes"]["folder"]), mounted_by=settings["volumes"].get("mounted_by", ""))
    known = Known(service.follow(CLAIMS, server, woken), service.follow(VOLUMES, server, woken))
    keeper = VolumeKeeper(settings["node"], known, disk, api, say)
    thread = threading.Thread(
        target=service.go_round, args=([tried(keeper.round)], woken), name="keep volumes", daemon=True
    )
    thread.start()
    return thread


def tried(work: Round) -> Round:
    """The same, where what can't be done is what is wrong."""

    def trying() -> str:
        try:
            return work()
        # Whatever it is: what keeps volumes would end with its thread, and nobody would notice.
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    return trying
