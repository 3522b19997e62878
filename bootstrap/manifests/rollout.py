"""Whether an object that was applied is at work, as its status says.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status,
https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/, https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Found = Mapping[str, Any]


def unfinished(found: Found) -> str | None:
    """What is missing until the object is at work, in words; None where nothing is, and for kinds of which that can't
    be said."""
    judge = _JUDGES.get(found.get("kind", ""))
    if judge is None:
        return None
    metadata, status = found.get("metadata") or {}, found.get("status") or {}
    if status.get("observedGeneration", metadata.get("generation")) != metadata.get("generation"):
        return "nobody has looked at it yet"
    return judge(found.get("spec") or {}, status)


def failed(found: Found) -> str | None:
    """Why an object will never be at work; None where it may be."""
    if found.get("kind") == "Job" and (said := _condition(found.get("status") or {}, "Failed")) is not None:
        return said or "it has failed"
    return None


def why_waiting(pod: Found) -> Iterator[str]:
    """Why a pod does not run, as the scheduler and its kubelet say."""
    status = pod.get("status") or {}
    for each in status.get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            yield _said(each)
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            yield _said(waiting)


def _said(found: Found) -> str:
    return ": ".join(str(found[key]) for key in ("reason", "message") if found.get(key))


def _deployment(spec: Found, status: Found) -> str | None:
    wanted = _number(spec, "replicas", 1)
    updated, ready = _number(status, "updatedReplicas"), _number(status, "availableReplicas")
    if updated < wanted:
        return f"{updated} of {wanted} pods are of this version"
    if _number(status, "replicas") > updated:
        return "pods of the version before are still there"
    return f"{ready} of {wanted} pods are available" if ready < wanted else None


def _stateful_set(spec: Found, status: Found) -> str | None:
    wanted = _number(spec, "replicas", 1)
    updated, ready = _number(status, "updatedReplicas"), _number(status, "readyReplicas")
    rolling = (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    partition = _number((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}, "partition")
    if rolling and status.get("updateRevision") != status.get("currentRevision") and updated < wanted - partition:
        return f"{updated} of {wanted - partition} pods are of this version"
    return f"{ready} of {wanted} pods are ready" if ready < wanted else None


def _daemon_set(spec: Found, status: Found) -> str | None:
    if "observedGeneration" not in status:
        return "nobody has looked at it yet"
    wanted = _number(status, "desiredNumberScheduled")
    updated, ready = _number(status, "updatedNumberScheduled"), _number(status, "numberAvailable")
    if (spec.get("updateStrategy") or {}).get("type") != "OnDelete" and updated < wanted:
        return f"{updated} of {wanted} pods are of this version"
    return f"{ready} of {wanted} pods are available" if ready < wanted else None


def _job(spec: Found, status: Found) -> str | None:
    if spec.get("suspend") or _condition(status, "Complete") is not None:
        return None
    return f"{_number(status, 'succeeded')} of {_number(spec, 'completions', 1)} runs have ended well"


def _pod(_: Found, status: Found) -> str | None:
    if status.get("phase") == "Succeeded" or _condition(status, "Ready") is not None:
        return None
    return f"it is {status.get('phase') or 'not looked at yet'}, and not ready"


def _definition(_: Found, status: Found) -> str | None:
    return None if _condition(status, "Established") is not None else "the API server does not know the kind yet"


def _api_service(_: Found, status: Found) -> str | None:
    return None if _condition(status, "Available") is not None else "nobody answers for it yet"


def _namespace(_: Found, status: Found) -> str | None:
    return "it is going away" if status.get("phase") == "Terminating" else None


_JUDGES: Mapping[str, Callable[[Found, Found], str | None]] = {
    "APIService": _api_service,
    "CustomResourceDefinition": _definition,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Job": _job,
    "Namespace": _namespace,
    "Pod": _pod,
    "StatefulSet": _stateful_set,
}


def _number(values: Found, name: str, otherwise: int = 0) -> int:
    found = values.get(name, otherwise)
    return found if isinstance(found, int) else otherwise


def _condition(status: Found, name: str) -> str | None:
    """What a condition says that is true; None where it is not."""
    for each in status.get("conditions") or ():
        if isinstance(each, Mapping) and each.get("type") == name and each.get("status") == "True":
            return str(each.get("message") or each.get("reason") or "")
    return None
