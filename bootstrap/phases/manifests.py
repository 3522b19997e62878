"""Objects that an inventory brings into the cluster: applied entry by entry, and deleted when they have left it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_any import AnyKind, Kind, marked
from bootstrap.clients.kubernetes_errors import KubeConflict
from bootstrap.clients.tunnel import ApiServers, any_api, ask_api
from bootstrap.engine.action import Action, Context
from bootstrap.engine.changes import DELETED, NEW, NO_CHANGES, OTHER_CONTENT, REFUSED, STAYS, Changes, ObjectChange
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.manifests import as_kept, kept_by, leftovers, may_force
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.load import place_of_manifests
from bootstrap.machine.objects import Manifest
from bootstrap.manifests.documents import STEP, Written
from bootstrap.manifests.kept import Kept, KeptObject, config_map
from bootstrap.manifests.model import EntryFacts, Leftover
from bootstrap.manifests.rollout import failed, unfinished, why_waiting
from bootstrap.manifests.sources import Entry
from bootstrap.phases.control_plane import OBJECTS

PREFIX = "cluster/manifests"
# How long an object that is deleted may take to be gone: what it made goes after it.
GONE_SECONDS = 300.0
# How long the definition of a kind may take until the API server knows it.
KNOWN_SECONDS = 60.0
MOST_NAMED = 3


def manifest_actions(
    entries: Sequence[Entry] | None, servers: ApiServers, places: Mapping[str, str]
) -> list[Action[ClusterFacts]]:
    """The actions that bring in what each entry says, each after the one before, and take out what has left all of
    them. `places` says where entries are written. None of them where `entries` is None: they are left alone."""
    if entries is None:
        return []
    actions: list[Action[ClusterFacts]] = []
    for number, entry in enumerate(entries, 1):
        actions.append(
            Action(
                id=f"{PREFIX}.{number}",
                node=None,
                step=STEP,
                title=f"apply {entry.name}",
                check=_judged(entry),
                apply=lambda context, entry=entry: bring_in(context, entry, servers),  # type: ignore[misc]
                needs=(actions[-1].id if actions else OBJECTS,),
                changes=_changes(entry),
                wanted_by=places.get(place_of_manifests(entry.name), ""),
            )
        )
    actions.append(
        Action(
            id=f"{PREFIX}.prune",
            node=None,
            step=STEP,
            title="delete what has left the manifests of the inventory",
            check=_prune_reason,
            apply=lambda context: take_out(context, entries, servers),
            needs=(actions[-1].id if actions else OBJECTS,),
            changes=_prune_changes,
        )
    )
    return actions


def _judged(entry: Entry) -> Callable[[ClusterFacts], str | None]:
    def check(world: ClusterFacts) -> str | None:
        if world.manifests is None:
            return "no API server answers"
        return _reason(world.manifests.entries[entry.name])

    return check


def _reason(facts: EntryFacts) -> str | None:
    missing = [each.key for each in facts.objects if not each.there and not each.trouble]
    other = [each.key for each in facts.objects if each.there and each.differences]
    refused = [each.key for each in facts.objects if each.trouble]
    said = (
        (missing, "is missing", "are missing"),
        (other, "differs", "differ"),
        (refused, "is refused as it is", "are refused as they are"),
    )
    reasons = [f"{_named(keys)} {one if len(keys) == 1 else many}" for keys, one, many in said if keys]
    if not reasons and not facts.done:
        return "it was not seen at work yet, as it is written now"
    return "; ".join(reasons) or None


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
    return f"{', '.join(keys[:MOST_NAMED])}{more}"


def _changes(entry: Entry) -> Callable[[ClusterFacts], Changes]:
    def changes(world: ClusterFacts) -> Changes:
        if world.manifests is None:
            return NO_CHANGES
        return Changes(objects=tuple(_changed(world.manifests.entries[entry.name])))

    return changes


def _changed(facts: EntryFacts) -> Iterator[ObjectChange]:
    for each in facts.objects:
        if each.trouble:
            yield ObjectChange(each.key, REFUSED, why=each.trouble)
        elif not each.there:
            yield ObjectChange(each.key, NEW)
        elif each.differences:
            yield ObjectChange(each.key, OTHER_CONTENT, each.differences)


def _prune_reason(world: ClusterFacts) -> str | None:
    if world.manifests is None or not world.manifests.leftovers:
        return None
    return f"{_named([each.kept.key for each in world.manifests.leftovers])} left the inventory"


def _prune_changes(world: ClusterFacts) -> Changes:
    found = world.manifests.leftovers if world.manifests is not None else ()
    return Changes(
        objects=tuple(
            ObjectChange(each.kept.key, STAYS if each.stays else DELETED, why=each.stays)
            for each in found
            if each.there
        )
    )


def bring_in(context: Context, entry: Entry, servers: ApiServers) -> None:
    """Apply the entry's objects in their order, and wait until they are at work. What is applied is written down in the
    cluster before. Raises ClusterupError that names the object."""
    left = list(entry.objects)

    def put(api: KubeClient) -> None:
        # Asked again, it goes on with the object that it did not come to.
        anything = AnyKind(api)
        while left:
            context.say(f"{left[0].manifest['kind']}/{left[0].manifest['metadata']['name']}")
            _apply(anything, left[0], entry)
            left.pop(0)

    ask_api(context, servers, put, what=f"the API servers to take {entry.name}")
    if entry.wait:
        _wait_for(context, entry, servers)
    ask_api(context, servers, lambda api: _note_done(api, entry), what="the API servers to note what is done")


def _apply(anything: AnyKind, written: Written, entry: Entry) -> None:
    kind = _known(anything, written, entry)
    kept = as_kept(written.manifest, kind)
    found = anything.get(kind, kept.name, kept.namespace)
    if found is not None and "deletionTimestamp" in found["metadata"]:
        raise ClusterupError(
            f"{kept.key} is going away",
            step=STEP,
            tried=f"apply it, as it is written at {written.place}",
            got=f"it waits for {', '.join(found['metadata'].get('finalizers') or ()) or 'what it made'}",
            hint="run the command again when it is gone",
        )
    _note(anything.client, kept)
    try:
        anything.apply(kind, marked(written.manifest, found), kept.namespace, force=may_force(entry, found))
    except ClusterupError as error:
        error.problem = f"{kept.key} can't be applied"
        error.step, error.tried = STEP, f"apply it, as it is written at {written.place}"
        if isinstance(error, KubeConflict) and not may_force(entry, found):
            error.final = True
            error.hint = (
                "somebody else made it: take what they wrote out of the manifest, or have it written over: "
                f"{{ path: {entry.name}, take_over: true }} in the inventory"
            )
        elif error.final:
            error.hint = "mend the manifest, then run the command again: it goes on from here"
        raise


def _known(anything: AnyKind, written: Written, entry: Entry) -> Kind:
    """Where objects of its kind are. Raises ClusterupError where nobody has told the API server."""
    manifest = written.manifest
    kind = anything.kind(manifest["apiVersion"], manifest["kind"])
    if kind is not None:
        return kind
    error = ClusterupError(
        f"the API server knows no {manifest['kind']} of {manifest['apiVersion']}",
        step=STEP,
        tried=f"apply what is written at {written.place}",
        got="no such kind in that version of the API",
        hint="compare both with `kubectl api-resources`; where a manifest defines the kind, put it before this one",
    )
    # One that is defined beside it is known in a moment.
    error.final = not any(each.manifest["kind"] == "CustomResourceDefinition" for each in entry.objects)
    raise error


def _note(api: KubeClient, each: KeptObject) -> None:
    """Write down that an object was applied, before it is: one that nobody knows of would never be deleted."""
    kept = kept_by(api)
    noted = kept.with_objects([each])
    if noted != kept:
        api.apply(config_map(noted))


def _note_done(api: KubeClient, entry: Entry) -> None:
    kept = kept_by(api)
    api.apply(config_map(dataclasses.replace(kept, done={**kept.done, entry.name: entry.digest})))


def _wait_for(context: Context, entry: Entry, servers: ApiServers) -> None:
    """Wait until all objects of the entry are at work. Raises ClusterupError that names one that is not, and why."""
    left = list(entry.objects)

    def at_work() -> bool:
        with any_api(context, servers) as api:
            anything = AnyKind(api)
            while left:
                try:
                    _require_work(anything, left[0])
                except ClusterupError as error:
                    context.say(error.problem)
                    raise
                left.pop(0)
        return True

    context.wait_until(at_work, what=f"the objects of {entry.name} to be at work", timeout=entry.wait, every=2.0)


def _require_work(anything: AnyKind, written: Written) -> None:
    manifest = written.manifest
    kind = anything.kind(manifest["apiVersion"], manifest["kind"])
    kept = as_kept(manifest, kind)
    found = anything.get(kind, kept.name, kept.namespace) if kind is not None else None
    why = (failed(found) or unfinished(found)) if found is not None else "it is gone"
    if why is None:
        return
    error = ClusterupError(
        f"{kept.key}: {why}",
        step=STEP,
        tried=f"wait until what is written at {written.place} is at work",
        got="; ".join(_pods_say(anything, found)) if found is not None else None,
        hint=f"look at it: kubectl -n {kept.namespace or 'default'} describe {kept.kind.lower()} {kept.name}; then run "
        "the command again: it goes on from here",
    )
    error.final = found is not None and failed(found) is not None
    raise error


def _pods_say(anything: AnyKind, found: Manifest) -> Iterator[str]:
    """Why the pods of a workload don't run, or the pod itself, as the scheduler and the kubelets say."""
    if found.get("kind") == "Pod":
        yield from why_waiting(found)
        return
    selector = (found.get("spec") or {}).get("selector")
    labels = selector.get("matchLabels") if isinstance(selector, Mapping) else None
    if labels:
        pods = anything.client.list_remembered("Pod", found["metadata"].get("namespace"), labels=labels)
        said = [f"{pod['metadata']['name']}: {why}" for pod in pods for why in why_waiting(pod)]
        yield from said[:MOST_NAMED]


def take_out(context: Context, entries: Sequence[Entry], servers: ApiServers) -> None:
    """Delete what was applied and is in no entry any more, the last one that was applied first, and forget what is not
    there or stays. Raises ClusterupError."""

    def one() -> bool:
        """Whether nothing is left to delete."""
        with any_api(context, servers) as api:
            anything = AnyKind(api)
            # Looked at again each time: somebody may have put something into a namespace since the plan was made.
            found = list(leftovers(anything, kept_by(api), entries))
            going = next((each for each in found if each.there and not each.stays), None)
            if going is None:
                _forget(api, found)
                return True
            context.say(f"deleting {going.kept.key}")
            _delete(anything, going.kept)
            return False

    context.wait_until(one, what="what left the inventory to be deleted", timeout=GONE_SECONDS, every=1.0)


def _delete(anything: AnyKind, kept: KeptObject) -> None:
    kind = anything.kind(kept.api_version, kept.kind)
    found = anything.get(kind, kept.name, kept.namespace) if kind is not None else None
    if kind is None or found is None:
        return
    if "deletionTimestamp" not in found["metadata"]:
        anything.delete(kind, found)
        return
    waits = ", ".join(found["metadata"].get("finalizers") or ()) or "what it made"
    raise Refused(
        f"{kept.key} is going away",
        step=STEP,
        tried="delete it",
        got=f"it waits for {waits}",
        hint=f"look who sees to that; kubectl get {kept.kind.lower()} {kept.name} -o yaml shows it",
    )


def _forget(api: KubeClient, found: Sequence[Leftover]) -> None:
    gone = {each.kept.is_same for each in found}
    kept = kept_by(api)
    left = Kept(tuple(each for each in kept.objects if each.is_same not in gone), kept.done)
    api.apply(config_map(left))
