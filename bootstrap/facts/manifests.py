"""What a cluster has of the objects that an inventory brings into it: asked, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_any import FOUND, AnyKind, Kind, mark_of, marked
from bootstrap.clients.kubernetes_errors import KubeConflict, KubeFailed, KubeMissing, KubeRefused
from bootstrap.engine.pool import asking
from bootstrap.machine.objects import Manifest
from bootstrap.manifests.differences import differences, laid_over
from bootstrap.manifests.kept import NAME, NAMESPACE, Kept, KeptObject, kept_in
from bootstrap.manifests.model import EntryFacts, Leftover, ManifestFacts, ObjectFacts
from bootstrap.manifests.sources import Entry

AT_ONCE = 4
DEFAULT_NAMESPACE = "default"
# What is on them is lost with them.
DATA = ("PersistentVolumeClaim", "PersistentVolume")
# What a namespace has of itself, and what goes with what it is about.
_OF_ITSELF = ("ServiceAccount/default", "ConfigMap/kube-root-ca.crt")
_FOLLOWS = ("Event", "Endpoints", "EndpointSlice", "PodMetrics")
_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105
MOST_NAMED = 3
# What an API server says that asks others about such objects, who would do something at that.
# Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#side-effects
NO_DRY_RUN = "does not support dry run"
T = TypeVar("T")


def kept_by(api: KubeClient) -> Kept:
    """What the cluster keeps of manifests. Raises ClusterupError."""
    return kept_in(api.get("ConfigMap", NAME, NAMESPACE))


def manifests_at(api: KubeClient, entries: Sequence[Entry]) -> ManifestFacts:
    """What the cluster has of the `entries`, and of what was applied and is in none of them. Raises ClusterupError."""
    kept, anything = kept_by(api), AnyKind(api)
    with asking(AT_ONCE, "manifests") as pool:

        def ask(one: Callable[[], T]) -> Callable[[], T]:
            return pool.submit(one).result

        found = {
            entry.name: [
                ask(lambda written=written, entry=entry: _object(anything, written.manifest, entry))  # type: ignore[misc]
                for written in entry.objects
            ]
            for entry in entries
        }
        facts = {
            entry.name: EntryFacts(
                tuple(each() for each in found[entry.name]), kept.done.get(entry.name) == entry.digest
            )
            for entry in entries
        }
    return ManifestFacts(facts, tuple(leftovers(anything, kept, entries)))


def _object(anything: AnyKind, manifest: Manifest, entry: Entry) -> ObjectFacts:
    kind = anything.kind(manifest["apiVersion"], manifest["kind"])
    kept = as_kept(manifest, kind)
    if kind is None:
        return ObjectFacts(kept.key, there=False)
    found = anything.get(kind, kept.name, kept.namespace)
    if found is not None and "deletionTimestamp" in found["metadata"]:
        return ObjectFacts(kept.key, there=False)
    force = may_force(entry, found)
    try:
        wanted = anything.would_be(kind, marked(manifest, found), kept.namespace, force=force)
    except KubeMissing:
        # Its namespace comes with it, or is said to be missing when it is applied.
        return ObjectFacts(kept.key, there=False)
    except (KubeConflict, KubeFailed, KubeRefused) as error:
        said = error.got or error.problem
        if NO_DRY_RUN not in said:
            return ObjectFacts(kept.key, there=found is not None, trouble=said)
        wanted = laid_over(found, manifest) if found is not None else manifest
    return ObjectFacts(kept.key, found is not None, differences(found, wanted) if found is not None else ())


def may_force(entry: Entry, found: Manifest | None) -> bool:
    """Whether what somebody else wrote in an object is written over: where the inventory says so, and where the object
    came from manifests."""
    return entry.takes_over or found is None or bool(mark_of(found))


def as_kept(manifest: Manifest, kind: Kind | None) -> KeptObject:
    """How the cluster keeps that it was applied."""
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
    if kind is not None and not kind.namespaced:
        namespace = ""
    elif kind is None:
        namespace = metadata.get("namespace", "")
    return KeptObject(manifest["apiVersion"], manifest["kind"], namespace, metadata["name"])


def leftovers(anything: AnyKind, kept: Kept, entries: Sequence[Entry]) -> Iterator[Leftover]:
    """What was applied and is in none of the entries, in the order in which it goes: the last one that was applied
    first. Raises KubeError."""
    wanted = {
        as_kept(each.manifest, anything.kind(each.manifest["apiVersion"], each.manifest["kind"])).is_same
        for entry in entries
        for each in entry.objects
    }
    going: set[tuple[str, str, str, str]] = set()
    for each in reversed(kept.objects):
        if each.is_same in wanted:
            continue
        leftover = _leftover(anything, each, going)
        if leftover.there and not leftover.stays:
            going.add(each.is_same)
        yield leftover


def _leftover(anything: AnyKind, each: KeptObject, going: Collection[tuple[str, str, str, str]]) -> Leftover:
    kind = anything.kind(each.api_version, each.kind)
    found = anything.get(kind, each.name, each.namespace) if kind is not None else None
    if found is None:
        return Leftover(each, there=False)
    if not (mark := mark_of(found)):
        return Leftover(each, there=True, stays="somebody else has made it anew")
    if mark == FOUND:
        return Leftover(each, there=True, stays="it was there before")
    if each.kind in DATA:
        return Leftover(each, there=True, stays="it holds data")
    others = list(_others_in(anything, each, found, going))
    if others:
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        return Leftover(each, there=True, stays=f"others would go with it: {', '.join(others[:MOST_NAMED])}{more}")
    return Leftover(each, there=True)


def _others_in(
    anything: AnyKind, each: KeptObject, found: Manifest, going: Collection[tuple[str, str, str, str]]
) -> Iterator[str]:
    """What would go with a namespace, or with the definition of a kind, and is not among what goes anyway."""
    if each.kind == "Namespace":
        places = [(version, name, kind, each.name) for version, name, kind in anything.every_namespaced()]
    elif each.kind == "CustomResourceDefinition":
        group, defined = found["spec"]["group"], found["spec"]["names"]["kind"]
        served = [version["name"] for version in found["spec"].get("versions") or () if version.get("served")]
        kinds = ((f"{group}/{name}", anything.kind(f"{group}/{name}", defined)) for name in served[:1])
        places = [(version, defined, kind, "") for version, kind in kinds if kind is not None]
    else:
        return
    for version, name, kind, namespace in places:
        for item in anything.list(kind, namespace or None):
            if not _goes_anyway(name, version, item, going):
                yield "/".join(
                    part for part in (name, item["metadata"].get("namespace"), item["metadata"]["name"]) if part
                )


def _goes_anyway(kind: str, version: str, item: Manifest, going: Collection[tuple[str, str, str, str]]) -> bool:
    metadata = item["metadata"]
    key = version.rpartition("/")[0], kind, metadata.get("namespace", ""), metadata["name"]
    return (
        key in going
        or kind in _FOLLOWS
        or bool(metadata.get("ownerReferences"))
        or f"{kind}/{metadata['name']}" in _OF_ITSELF
        or (kind == "Secret" and item.get("type") == _ACCOUNT_TOKEN)
    )
