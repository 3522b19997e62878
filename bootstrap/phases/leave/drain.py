"""Moving a node's pods elsewhere: each is asked to go, as far as its disruption budget allows it.

Pods of DaemonSets and of the kubelet's own files belong to the node and are left; those that have ended are no one's
loss.
Source: https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_errors import KubeError
from bootstrap.clients.tunnel import ApiServers, any_api, ask_api
from bootstrap.engine.action import Context
from bootstrap.errors import ClusterupError, Interrupted, Refused
from bootstrap.facts.model import PodFacts
from bootstrap.facts.pods import pods_to_move
from bootstrap.state.membership import Pods

ASK_EVERY_SECONDS = 5.0
DELETED_SECONDS = 60.0
NAMED = 8


def drain(context: Context, node: str, servers: ApiServers, pods: Pods, seconds: float) -> None:
    """Ask the pods of a node to go until none is left. With `Pods.DELETE` those that are left after `seconds` are
    deleted, and those that nothing would start elsewhere at once.

    Raises ClusterupError that names the pods that are left and the budgets that hold them up.
    """
    require_owned(node, ask_api(context, servers, lambda api: _found(api, node), what=f"a list of {node}'s pods"), pods)

    def gone() -> bool:
        with any_api(context, servers) as api:
            return _ask(context, api, node)

    try:
        context.wait_until(gone, what=f"{node}'s pods to go", timeout=seconds, every=ASK_EVERY_SECONDS)
    except Interrupted:
        raise
    except ClusterupError:
        if pods is not Pods.DELETE:
            raise
        delete_pods(context, node, servers)


def require_owned(node: str, found: Sequence[PodFacts], pods: Pods) -> None:
    """Raise Refused where pods would be lost for good, as nothing starts them elsewhere, and that was not asked for."""
    alone = [pod for pod in found if not pod.owned]
    if alone and pods is not Pods.DELETE:
        raise Refused(
            f"{counted(len(alone))} would be lost: nothing starts them elsewhere",
            node=node,
            step="leave",
            tried="look for what each of its pods belongs to",
            got=f"no controller: {_listed(alone)}",
            hint="move or delete them yourself; or let them be lost: clusterup remove --force",
        )


def counted(count: int) -> str:
    """ "1 pod", "3 pods"."""
    return f"{count} pod{'' if count == 1 else 's'}"


def _found(api: KubeClient, node: str) -> tuple[PodFacts, ...]:
    return pods_to_move(api.list("Pod", fields={"spec.nodeName": node}))


def _ask(context: Context, api: KubeClient, node: str) -> bool:
    """Ask those to go that were not asked yet; True when all have gone. Raises ClusterupError that names
    those that may not, or did not yet."""
    found = api.list("Pod", fields={"spec.nodeName": node})
    going = {item["metadata"]["uid"] for item in found if item["metadata"].get("deletionTimestamp")}
    left = pods_to_move(found)
    held: dict[PodFacts, str] = {}
    for pod in pods_to_move(item for item in found if item["metadata"]["uid"] not in going):
        try:
            api.evict(pod.name, pod.namespace)
        except KubeError as error:
            if error.final:
                raise
            held[pod] = error.got or error.problem
    if left:
        context.say(f"{counted(len(left))} left, {len(held)} held up")
    if held:
        raise ClusterupError(
            f"{counted(len(held))} of {node} may not go",
            node=node,
            got="; ".join(f"{pod}: {why}" for pod, why in list(held.items())[:NAMED]),
            hint="give them another replica, or a budget that allows it, then run this again; or delete them without "
            "asking: clusterup remove --force",
        )
    if left:
        raise ClusterupError(
            f"{counted(len(left))} of {node} did not end yet",
            node=node,
            got=_listed(left),
            hint="look at its kubelet (`journalctl -u kubelet`), which has to end them; then run this again, with more "
            "time if they need it: clusterup remove --drain-timeout; or delete them without waiting: clusterup remove "
            "--force",
        )
    return True


def delete_pods(context: Context, node: str, servers: ApiServers) -> None:
    """Delete the pods of a node without asking budgets or its kubelet. Raises ClusterupError."""

    def gone() -> bool:
        with any_api(context, servers) as api:
            for pod in _found(api, node):
                context.say(f"deleting {pod}")
                api.delete_at_once("Pod", pod.name, pod.namespace)
            return not _found(api, node)

    context.wait_until(gone, what=f"{node}'s pods to be deleted", timeout=DELETED_SECONDS, every=ASK_EVERY_SECONDS)


def _listed(pods: Sequence[PodFacts]) -> str:
    more = f" and {len(pods) - NAMED} more" if len(pods) > NAMED else ""
    return ", ".join(str(pod) for pod in pods[:NAMED]) + more
