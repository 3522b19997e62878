"""Restarts controllers whose tokens expired while their machines stood still.

kube-controller-manager's tokens are valid for an hour of the calendar. It renews each after 48 minutes on a clock that
stands still with the machine. In between the API server refuses all its requests, and it does not notice: no Node gets
a certificate, no pod is replaced. A restart gets it new tokens.
Source: client_builder_dynamic.go of Kubernetes (k8s.io/controller-manager/pkg/clientbuilder since 1.21).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from bootstrap.clients.tunnel import ApiServers, any_api
from bootstrap.engine.patience import until
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.lab.saves.health import NEXT, Operator
from bootstrap.system_errors import as_error
from bootstrap.transport.base import Command

Say = Callable[[str], None]
# A token that is about to be renewed is valid for another 12 minutes. Seconds.
LONG = 600.0
NAMESPACE, LOCK = "kube-system", "kube-controller-manager"
RESTART = Command("restart the controller manager", "systemctl try-restart kube-controller-manager.service")
RESTART_SECONDS = 120.0
# In a lab, a controller manager tries to get the lock every 10 s.
ELECTED_SECONDS = 300.0
EVERY = 1.0
# Clocks that were set differ by less. What was acquired before the restore is older than `LONG`.
SKEW = 60.0


def restart_controllers(operator: Operator, running: Collection[str], say: Say) -> float:
    """Restart the controller managers of the servers that run, and say where that failed. Returns the moment before it,
    in seconds since the epoch."""
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
                why = error.got or error.problem
                say(
                    f"{server}: its controller manager could not be restarted, and its tokens may have expired: {why}; "
                    f"next: restore the lab again, or run `{RESTART.script}` there"
                )
    return began


def wait_for_controllers(operator: Operator, since: float) -> None:
    """Return when a controller manager is at work that got the lock after `since` (seconds since the epoch). An older
    lock is deleted: its holder was restarted, and it would keep the others away until it expires. Raises ClusterupError
    when none gets it."""
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

    until(at_work, what="a controller manager to be at work", seconds=ELECTED_SECONDS, every=EVERY, hint=NEXT)


def is_of_before(lease: dict[str, Any], since: float) -> bool:
    """Whether it was acquired before `since`, or does not say when."""
    try:
        return datetime.fromisoformat(str(lease["spec"]["acquireTime"])).timestamp() < since
    except (KeyError, TypeError, ValueError):
        return True
