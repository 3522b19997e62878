"""Whether an object is at work is read out of its status."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.manifests.rollout import failed, unfinished, why_waiting

ESTABLISHED = [{"type": "Established", "status": "True"}]


def found(kind: str, status: dict[str, Any], spec: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"generation": 2}, "spec": spec or {}, "status": status}


AT_WORK = [
    found("Deployment", {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}),
    found("Deployment", {"observedGeneration": 2}, {"replicas": 0}),
    found("StatefulSet", {"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": 3}, {"replicas": 3}),
    found("DaemonSet", {"observedGeneration": 2, "desiredNumberScheduled": 0}),
    found(
        "DaemonSet",
        {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2},
    ),
    found("Job", {"conditions": [{"type": "Complete", "status": "True"}]}),
    found("Job", {}, {"suspend": True}),
    found("Pod", {"phase": "Succeeded"}),
    found("Pod", {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
    found("CustomResourceDefinition", {"conditions": ESTABLISHED}),
    found("Namespace", {"phase": "Active"}),
    found("ConfigMap", {}),
    found("Whatever", {"phase": "Pending"}),
]
NOT_YET = [
    (found("Deployment", {"observedGeneration": 1}), "nobody has looked at it yet"),
    (found("Deployment", {"observedGeneration": 2}), "0 of 1 pods are of this version"),
    (
        found("Deployment", {"observedGeneration": 2, "updatedReplicas": 2, "replicas": 3}, {"replicas": 2}),
        "pods of the version before are still there",
    ),
    (
        found("Deployment", {"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2}, {"replicas": 2}),
        "0 of 2 pods are available",
    ),
    (
        found(
            "StatefulSet",
            {"observedGeneration": 2, "updateRevision": "b", "currentRevision": "a", "readyReplicas": 3},
            {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
        ),
        "0 of 2 pods are of this version",
    ),
    (found("DaemonSet", {}), "nobody has looked at it yet"),
    (
        found("DaemonSet", {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1}),
        "1 of 2 pods are of this version",
    ),
    (found("Job", {"succeeded": 1}, {"completions": 3}), "1 of 3 runs have ended well"),
    (found("Pod", {"phase": "Pending"}), "it is Pending, and not ready"),
    (found("CustomResourceDefinition", {}), "the API server does not know the kind yet"),
    (found("APIService", {}), "nobody answers for it yet"),
    (found("Namespace", {"phase": "Terminating"}), "it is going away"),
]


@pytest.mark.parametrize("each", AT_WORK, ids=lambda each: each["kind"])
def test_it_is_at_work(each: dict[str, Any]) -> None:
    assert unfinished(each) is None


@pytest.mark.parametrize(("each", "said"), NOT_YET, ids=lambda each: each if isinstance(each, str) else each["kind"])
def test_it_is_not_yet_at_work(each: dict[str, Any], said: str) -> None:
    assert unfinished(each) == said
    assert failed(each) is None


def test_a_job_that_gave_up_will_never_end_well() -> None:
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    assert failed(found("Job", {"conditions": [condition]})) == "BackoffLimitExceeded"


def test_a_pod_says_why_it_waits() -> None:
    status = {
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}],
        "initContainerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
        "containerStatuses": [
            {"state": {"waiting": {"reason": "PodInitializing"}}},
            {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}},
            {"state": {"running": {}}},
        ],
    }
    assert list(why_waiting(found("Pod", status))) == [
        "Unschedulable: 0/2 nodes",
        "CrashLoopBackOff",
        "ErrImagePull: no such image",
    ]
