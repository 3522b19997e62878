"""The Node object: it carries the labels and taints of the inventory, and keeps those of others.

Which of them came from the inventory is written down on the Node itself, in an annotation, so that what leaves the
inventory also leaves the Node, whoever applies.
Source: https://kubernetes.io/docs/reference/labels-annotations-taints/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bootstrap.clients.kubernetes_errors import KubeConflict
from bootstrap.clients.tunnel import ASKED_SECONDS, ApiServers, any_api
from bootstrap.constants.objects import CONTROL_PLANE, GIVEN_ANNOTATION, LEAVING_ANNOTATION, OLD_GIVEN_ANNOTATION
from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.model import SERVER_TAINT, Node, Role
from bootstrap.outside import parsed_json
from bootstrap.phases.reasons import judged
from bootstrap.spec.node import Desired

# What tells taints apart: a node has one of each key and effect.
TaintId = tuple[str, str]
Taints = dict[TaintId, str]
ROLE_TAINT: TaintId = (SERVER_TAINT.key, SERVER_TAINT.effect)


@dataclass(frozen=True, slots=True)
class Given:
    """The keys of labels, and the keys and effects of taints, that came from the inventory."""

    labels: tuple[str, ...] = ()
    taints: tuple[TaintId, ...] = ()


def labelled(node: str) -> str:
    """The id of the action that gives a Node its labels and taints."""
    return f"{node}/node"


def node_actions(desired: Desired, servers: ApiServers, after: Sequence[str]) -> list[Action[ClusterFacts]]:
    """The action that keeps a Node's labels and taints as the inventory says, when the actions `after` are done."""
    name = desired.node.name
    return [
        Action(
            id=labelled(name),
            node=name,
            step="node",
            title="give its Node the labels and taints of the inventory",
            check=judged(name, lambda _, world: _reason(desired.node, world)),
            apply=lambda context: correct(context, desired.node, servers),
            needs=tuple(after),
        )
    ]


def correct(context: Context, node: Node, servers: ApiServers) -> None:
    """Change what differs and nothing else. Raises ClusterupError."""

    def changed() -> bool:
        with any_api(context, servers) as api:
            found = api.get("Node", node.name)
            if found is None:
                return False
            patch = node_patch(node, found)
            try:
                if patch:
                    api.merge("Node", node.name, patch)
            except KubeConflict:
                return False
        return True

    # Kubelets and controllers write to the same object: whoever comes second looks again.
    context.wait_until(
        changed, what=f"Node {node.name} to take its labels and taints", timeout=ASKED_SECONDS, every=1.0
    )


def labels_of(node: Node) -> dict[str, str]:
    """The labels of a Node: the inventory's, and a server's role, which a kubelet may not give itself."""
    return {**({CONTROL_PLANE: ""} if node.role is Role.SERVER else {}), **node.labels}


def given_by(node: Node) -> dict[str, str]:
    """The annotation that says which labels and taints come from the inventory."""
    note = {"labels": sorted(labels_of(node)), "taints": sorted(wanted_taints(node))}
    return {GIVEN_ANNOTATION: json.dumps(note)}


def node_patch(node: Node, found: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be merged into the Node (RFC 7396) so that it is as the inventory says; empty where it is. The Node's
    version is part of it: a Node that changed since is not overwritten."""
    if not differences(node, found):
        return {}
    labels, taints, given = labels_of(node), wanted_taints(node), given_to(found)
    gone = {key: None for key in given.labels if key not in labels}
    others = {
        each: taint for each, taint in taints_on(found).items() if each not in taints and each not in given.taints
    }
    old = {OLD_GIVEN_ANNOTATION: None} if OLD_GIVEN_ANNOTATION in _annotations(found) else {}
    # It may have pods again.
    left, schedulable = ({LEAVING_ANNOTATION: None}, {"unschedulable": None}) if leaving_since(found) else ({}, {})
    return {
        "metadata": {
            "resourceVersion": found["metadata"]["resourceVersion"],
            "labels": {**gone, **labels},
            "annotations": {**given_by(node), **left, **old},
        },
        "spec": {"taints": [*others.values(), *(_taint(each, value) for each, value in taints.items())], **schedulable},
    }


def differences(node: Node, found: Mapping[str, Any]) -> list[str]:
    """What of a Node is not as the inventory says, each in words that go on from its name."""
    labels, taints = labels_of(node), wanted_taints(node)
    has = found.get("metadata", {}).get("labels") or {}
    tainted = {each: str(taint.get("value") or "") for each, taint in taints_on(found).items()}
    given = given_to(found)
    said = [f"lacks the label {key}={value}" for key, value in sorted(labels.items()) if has.get(key) != value]
    said += [f"has the label {key}, which the inventory has no more" for key in _gone(given.labels, labels, has)]
    said += [
        f"lacks the taint {_shown(each, value)}{_why_tainted(each, node)}"
        for each, value in sorted(taints.items())
        if tainted.get(each) != value
    ]
    said += [
        f"has the taint {_shown(each, tainted[each])}, {_why_not_tainted(each, node)}"
        for each in _gone(given.taints, taints, tainted)
    ]
    if leaving_since(found):
        said.append("says that it leaves, and the inventory has it")
    if not said and given != Given(tuple(sorted(labels)), tuple(sorted(taints))):
        said.append("does not say which of its labels and taints came from the inventory")
    if not said and OLD_GIVEN_ANNOTATION in _annotations(found):
        said.append(f"says what came from the inventory in an older annotation ({OLD_GIVEN_ANNOTATION})")
    return said


def leaving_since(found: Mapping[str, Any]) -> str | None:
    """Since when the Node is leaving, where it is."""
    since = _annotations(found).get(LEAVING_ANNOTATION)
    return str(since) if since else None


def given_to(found: Mapping[str, Any]) -> Given:
    """What the Node's annotation says, and what an earlier version wrote beside it; nothing where it has none, or one
    that can't be understood."""
    now, before = (_given_in(_annotations(found).get(name)) for name in (GIVEN_ANNOTATION, OLD_GIVEN_ANNOTATION))
    return Given(
        tuple(dict.fromkeys((*now.labels, *before.labels))), tuple(dict.fromkeys((*now.taints, *before.taints)))
    )


def _given_in(note: Any) -> Given:
    try:
        found = parsed_json(note or "{}")
        taints = tuple((str(key), str(effect)) for key, effect in found.get("taints", ()))
        return Given(tuple(str(key) for key in found.get("labels", ())), taints)
    except (ValueError, TypeError, AttributeError):
        return Given()


def _annotations(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return found.get("metadata", {}).get("annotations") or {}


def _reason(node: Node, world: ClusterFacts) -> str | None:
    if world.api is None:
        return "no API server answers"
    found = world.api.objects.get(f"Node/{node.name}")
    if found is None:
        return "the cluster has no Node of its name"
    said = differences(node, found)
    return f"its Node {said[0]}" + (f", and {len(said) - 1} more" if len(said) > 1 else "") if said else None


def _gone(given: Iterable[Any], wanted: Mapping[Any, str], found: Mapping[Any, str]) -> list[Any]:
    return sorted(each for each in given if each not in wanted and each in found)


def wanted_taints(node: Node) -> Taints:
    """The values of a node's taints, by key and effect."""
    return {(taint.key, taint.effect): taint.value for taint in node.taints}


def taints_on(found: Mapping[str, Any]) -> dict[TaintId, Mapping[str, Any]]:
    """The taints that a Node has, by key and effect."""
    taints = (found.get("spec") or {}).get("taints") or ()
    return {(str(taint.get("key")), str(taint.get("effect"))): taint for taint in taints}


def _why_tainted(each: TaintId, node: Node) -> str:
    if each != ROLE_TAINT or node.role is not Role.SERVER:
        return ""
    if node.schedulable is False:
        return " (schedulable: false)"
    return " (there are agents; schedulable: true says otherwise)"


def _why_not_tainted(each: TaintId, node: Node) -> str:
    if each != ROLE_TAINT or node.role is not Role.SERVER:
        return "which the inventory has no more"
    return "and is schedulable: true" if node.schedulable else "and the inventory has no agents"


def _taint(each: TaintId, value: str) -> dict[str, str]:
    key, effect = each
    return {"key": key, "effect": effect, **({"value": value} if value else {})}


def _shown(each: TaintId, value: str) -> str:
    key, effect = each
    return f"{key}={value}:{effect}" if value else f"{key}:{effect}"
