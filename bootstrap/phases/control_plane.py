"""The control plane of each server: API server, controller manager and scheduler, and the objects that every cluster
has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.tunnel import ApiServers, any_api, api_at, ask_api
from bootstrap.constants.objects import UNWANTED
from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import ClusterFacts
from bootstrap.machine.objects import Manifest, object_key
from bootstrap.phases.changes import unit_changes
from bootstrap.phases.deploy.services import ensure_units
from bootstrap.phases.others import OPTIONAL, is_ours, key_of, somebody_elses, wants
from bootstrap.phases.reasons import judged, not_running
from bootstrap.phases.rolling import spare_api_server
from bootstrap.spec.node import Desired

READY_SECONDS = 1800.0
OBJECTS = "cluster/objects"


def control_plane_actions(desired: Desired, servers: ApiServers, founder: str | None) -> list[Action[ClusterFacts]]:
    """The action that starts, or restarts, what a server of the control plane runs.

    While a cluster is founded, the others wait for the `founder`'s and for its objects: an API server that finds
    nothing makes the same two hundred objects as any other one that finds nothing, and they are in each other's way.
    One starts at a time: on a slow machine an API server that has to share it ends itself, because its own questions
    to itself take too long, and begins again.
    """
    name = desired.node.name
    first = () if founder in (None, name) else (f"{founder}/control-plane", OBJECTS)
    return [
        Action(
            id=f"{name}/control-plane",
            node=name,
            step="control plane",
            title="start the API server, the controller manager and the scheduler",
            check=judged(name, lambda facts, _: not_running(desired.control_plane, facts)),
            apply=lambda context: start_control_plane(context, desired, servers),
            restarts=tuple(unit.name for unit in desired.control_plane),
            changes=unit_changes(desired.control_plane, name),
            needs=(f"{name}/etcd.member", *first),
            # Nor is one that serves ever restarted on two servers at once.
            exclusive="control plane",
        )
    ]


def start_control_plane(context: Context, desired: Desired, servers: ApiServers) -> None:
    """Start it and wait until this server's own API server is ready. One that serves is restarted only while another
    one is ready. Raises ClusterupError.

    The others start after that: before the API server has made its own roles, all that they ask is refused, and they
    ask again and again.
    """
    name = desired.node.name
    api_server, *others = desired.control_plane
    spare_api_server(context, name, api_server, servers)
    ensure_units(context, name, [api_server])

    # Each question goes the way that is open then: the one before may have been lost.
    def ready() -> bool:
        with api_at(context.on(name), servers.keys) as api:
            return api.ready()

    context.wait_until(ready, what="the API server's readiness", timeout=READY_SECONDS, every=2.0)
    ensure_units(context, name, others)


def object_actions(
    objects: Sequence[Manifest], servers: ApiServers, reachable: Sequence[str]
) -> list[Action[ClusterFacts]]:
    """The action that keeps clusterup's own objects in the cluster. It goes on with the first of the reachable servers
    that has a control plane."""
    return [
        Action(
            id=OBJECTS,
            node=None,
            step="objects",
            title="keep the roles and the cluster's description that joining nodes need",
            check=lambda world: _objects_reason(objects, world),
            apply=lambda context: put_objects(context, objects, servers),
            needs=tuple(f"{name}/control-plane" for name in reachable[:1]),
        )
    ]


def put_objects(context: Context, objects: Sequence[Manifest], servers: ApiServers) -> None:
    """Apply the objects, take out what no cluster is to have, and wait until the controller manager is at work.

    Kubelets that join before that ask for certificates that no one signs, and for much else, again and again. Raises
    ClusterupError.
    """

    def put(api: KubeClient) -> None:
        # The plan may have been made while no API server answered.
        found = {key_of(*each): api.remembered(*each) for each in OPTIONAL}
        for key, item in found.items():
            if wants(objects, key) and (refusal := somebody_elses(key, item)) is not None:
                raise refusal
        for manifest in objects:
            context.say(object_key(manifest))
            api.apply(manifest)
        for kind, name in UNWANTED:
            if api.delete(kind, name):
                context.say(f"{kind}/{name} is taken out")
        for each in OPTIONAL:
            if not wants(objects, key_of(*each)) and is_ours(found[key_of(*each)]):
                api.delete(*each)
                context.say(f"{key_of(*each)} is taken out")

    ask_api(context, servers, put, what="the API servers to take the cluster's objects", seconds=READY_SECONDS)

    def at_work() -> bool:
        with any_api(context, servers) as api:
            # Made by one of the controllers, which all begin together.
            return api.remembered("ServiceAccount", "default", "kube-system") is not None

    context.wait_until(at_work, what="the controller manager to be at work", timeout=READY_SECONDS, every=2.0)


def says_the_same(wanted: object, found: object) -> bool:
    """Whether everything that is wanted is found; what the server adds of its own does not count."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(says_the_same(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(wanted) == len(found)
            and all(says_the_same(one, other) for one, other in zip(wanted, found, strict=True))
        )
    return wanted == found


def _objects_reason(objects: Sequence[Manifest], world: ClusterFacts) -> str | None:
    if world.api is None:
        return "no API server answers"
    found = world.api.objects
    for manifest in objects:
        key = object_key(manifest)
        if key not in found:
            return f"{key} is missing"
        if not says_the_same(_contents(manifest), found[key]):
            return f"{key} differs"
    for key in (key_of(*each) for each in OPTIONAL):
        if not wants(objects, key) and is_ours(found.get(key)):
            return f"{key} is to be somebody else's"
    return next((f"{kind}/{name} {why}" for (kind, name), why in UNWANTED.items() if f"{kind}/{name}" in found), None)


def _contents(manifest: Manifest) -> Manifest:
    """What is compared: all that it says, and of its metadata what means something to others."""
    said = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata")}
    annotations = manifest["metadata"].get("annotations")
    return {**said, "metadata": {"annotations": annotations}} if annotations else said
