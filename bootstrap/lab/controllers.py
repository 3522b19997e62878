"""Controllers of a cluster whose machines stood still for long.

kube-controller-manager asks with tokens that are good for an hour of the calendar, and renews each after 48 minutes of
a clock that stands still with the machine. In between the API server refuses all that it asks, and it does not notice:
no Node gets a certificate, no pod is replaced. It is started anew, which gets it other tokens.
Source: pkg/controller/client_builder_dynamic.go of Kubernetes 1.20.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from bootstrap.engine.patience import until
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.lab.health import Operator
from bootstrap.steps.ways import ApiServers, any_api
from bootstrap.system_errors import as_error
from bootstrap.transport.base import Command

Say = Callable[[str], None]
# Tokens that were to be renewed next end so soon. Seconds.
LONG = 600.0
NAMESPACE, LOCK = "kube-system", "kube-controller-manager"
RESTART = Command("restart the controller manager", "systemctl try-restart kube-controller-manager.service")
RESTART_SECONDS = 120.0
# A new one looks for the lock every 10 s in a lab.
ELECTED_SECONDS = 300.0
EVERY = 1.0
# Clocks that were set differ by less; what was acquired before is older than `LONG`.
SKEW = 60.0


def restart_controllers(operator: Operator, running: Collection[str], say: Say) -> float:
    """Start the controller managers of the servers that run anew, and say of which that was not possible. Returns the
    moment before that, in seconds since the epoch."""
    began = time.time()

    def one(server: str) -> ClusterupError | None:
        try:
            operator.connections.on(server).check(RESTART, timeout=RESTART_SECONDS)
        except Exception as error:
            return as_error(error, node=server, step="lab restore", tried=RESTART.name)
        return None

    servers = [server for server in operator.servers if server in running]
    with asking(max(1, len(servers)), "controllers") as pool:
        for server, error in zip(servers, pool.map(one, servers), strict=True):
            if error is not None:
                say(f"{server}: its controllers may have no tokens that are good: {error.got or error.problem}")
    return began


def wait_for_controllers(operator: Operator, since: float) -> None:
    """Return when a controller manager is at work that started after `since` (seconds since the epoch). None is left of
    those before, and their lock is taken from them: it would keep the new ones away until it ends. Raises
    ClusterupError where none comes."""
    keys = operator.keys
    assert keys is not None
    servers = ApiServers(operator.inventory.cluster.name, operator.servers, keys)

    def at_work() -> bool | None:
        with any_api(operator.connections, servers) as api:
            lease = api.get("Lease", LOCK, NAMESPACE)
            if lease is None:
                return None
            if is_of_before(lease, since - SKEW):
                api.delete("Lease", LOCK, NAMESPACE)
                return None
        return True

    until(at_work, what="a controller manager to be at work", seconds=ELECTED_SECONDS, every=EVERY)


def is_of_before(lease: dict[str, Any], since: float) -> bool:
    """Whether it was acquired before `since`, or nobody says when."""
    try:
        return datetime.fromisoformat(str(lease["spec"]["acquireTime"])).timestamp() < since
    except (KeyError, TypeError, ValueError):
        return True
