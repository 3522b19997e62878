"""Objects of any kind that an API server knows, those that it was taught included: found, applied, deleted.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/,
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bootstrap.clients.kubernetes import CONFLICT, NOTHING, PASSING, KubeClient, Request
from bootstrap.clients.kubernetes_answers import any_object_in
from bootstrap.clients.kubernetes_errors import KubeRefused
from bootstrap.machine.objects import Manifest

# Who wrote what came from manifests of an inventory: clusterup's own objects have another one.
MANAGER = "clusterup-manifests"
# What objects from manifests are known by: MADE where there was none before, FOUND where it was there.
MARK = "clusterup.dev/manifests"
MADE, FOUND = "made", "found"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Kind:
    """Where objects of a kind are: "apis/apps/v1", "deployments", and whether they live in namespaces. `verbs` are what
    the API server does with them."""

    api: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()

    def path(self, name: str | None = None, namespace: str | None = None) -> str:
        """The path of an object, or of all of them."""
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"/{self.api}{middle}/{self.plural}" + (f"/{name}" if name else "")


class AnyKind:
    """An API server, asked for objects of kinds that it says itself where to find."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client
        self._known: dict[str, Mapping[str, Kind]] = {}

    def kind(self, api_version: str, kind: str) -> Kind | None:
        """Where the objects of a kind are; None where the API server does not know it (yet). Raises KubeError."""
        if (found := self._of_version(api_version).get(kind)) is None:
            # It may have been defined a moment ago.
            self._known.pop(api_version, None)
            found = self._of_version(api_version).get(kind)
        return found

    def every_namespaced(self) -> Iterator[tuple[str, str, Kind]]:
        """The kinds whose objects live in namespaces and can be listed: version of the API, name of the kind, place.
        Raises KubeError."""
        groups = (self._ask("GET", "/apis") or {}).get("groups") or []
        versions = ["v1", *(str((each.get("preferredVersion") or {}).get("groupVersion")) for each in groups)]
        for version in versions:
            # What an extension of the API brings may be away, and holds nothing that goes with a namespace by itself.
            with suppress(KubeRefused):
                for name, kind in self._of_version(version).items():
                    if kind.namespaced and "list" in kind.verbs:
                        yield version, name, kind

    def get(self, kind: Kind, name: str, namespace: str | None) -> Manifest | None:
        """An object, or None where there is none. Raises KubeError."""
        return self._ask("GET", kind.path(name, namespace))

    def list(self, kind: Kind, namespace: str | None = None) -> list[Manifest]:
        """All objects of a kind, in one namespace or in all. Raises KubeError."""
        return (self._ask("GET", kind.path(None, namespace)) or {}).get("items") or []

    def delete(self, kind: Kind, found: Manifest) -> None:
        """Delete the object that was found, and no later one of its name; what it made goes after it. Raises
        KubeError."""
        metadata = found["metadata"]
        options = {"propagationPolicy": "Background", "preconditions": {"uid": metadata.get("uid")}}
        asked = Request(content=json.dumps(options).encode())
        self._ask("DELETE", kind.path(metadata["name"], metadata.get("namespace")), asked)

    def apply(self, kind: Kind, manifest: Manifest, namespace: str | None, *, force: bool) -> Manifest:
        """Make an object what the manifest says, where whoever wrote other values gives them up (`force`), or nobody
        did. Raises KubeConflict that names those who did, and KubeError."""
        return self._patched(kind, manifest, namespace, {"force": str(force).lower()})

    def would_be(self, kind: Kind, manifest: Manifest, namespace: str | None, *, force: bool) -> Manifest:
        """What `apply` would come to; nothing is written. Raises as that does.

        Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
        """
        return self._patched(kind, manifest, namespace, {"force": str(force).lower(), "dryRun": "All"})

    def _patched(self, kind: Kind, manifest: Manifest, namespace: str | None, how: Mapping[str, str]) -> Manifest:
        asked = Request({"fieldManager": MANAGER, **how}, json.dumps(manifest).encode(), APPLY)
        # Somebody who wrote to it in the same moment is not in the way of this; who owns a field is.
        passing = PASSING | {CONFLICT} if how["force"] == "true" else PASSING
        return self._ask("PATCH", kind.path(manifest["metadata"]["name"], namespace), asked, passing) or {}

    def _ask(
        self, method: str, path: str, asked: Request = NOTHING, passing: frozenset[int] = PASSING
    ) -> Manifest | None:
        return self.client.ask(method, path, asked, passing, any_object_in)

    def _of_version(self, api_version: str) -> Mapping[str, Kind]:
        if api_version not in self._known:
            api = f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"
            found = self._ask("GET", f"/{api}") or {}
            self._known[api_version] = {
                str(each["kind"]): Kind(api, str(each["name"]), each.get("namespaced") is True, _verbs(each))
                for each in found.get("resources") or []
                # What has a slash in its name is a part of another: deployments/status.
                if isinstance(each, dict) and "kind" in each and "/" not in str(each.get("name", "/"))
            }
        return self._known[api_version]


def _verbs(resource: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(map(str, resource.get("verbs") or ()))


def mark_of(found: Mapping[str, Any]) -> str:
    """MADE or FOUND of an object that came from a manifest; an empty text of one that did not, or that took the place
    of one that did."""
    return str((found.get("metadata", {}).get("annotations") or {}).get(MARK, ""))


def marked(manifest: Manifest, found: Mapping[str, Any] | None) -> Manifest:
    """The manifest with the mark of what it becomes, by what was found there. Who wrote which field does not tell it:
    an object without any fields, as a namespace is, keeps nothing of that."""
    mark = MADE if found is None else mark_of(found) or FOUND
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), MARK: mark}}}
