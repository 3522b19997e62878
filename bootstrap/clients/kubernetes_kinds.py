"""The kinds of objects that clusterup asks an API server for, and where they are."""

from __future__ import annotations

from collections.abc import Mapping

# kind -> (path of its API, plural, whether it lives in a namespace)
KINDS: dict[str, tuple[str, str, bool]] = {
    "CertificateSigningRequest": ("apis/certificates.k8s.io/v1", "certificatesigningrequests", False),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "ConfigMap": ("api/v1", "configmaps", True),
    "DaemonSet": ("apis/apps/v1", "daemonsets", True),
    "Deployment": ("apis/apps/v1", "deployments", True),
    "Event": ("api/v1", "events", True),
    "Lease": ("apis/coordination.k8s.io/v1", "leases", True),
    "Namespace": ("api/v1", "namespaces", False),
    "Node": ("api/v1", "nodes", False),
    "PersistentVolume": ("api/v1", "persistentvolumes", False),
    "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims", True),
    "Pod": ("api/v1", "pods", True),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles", True),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings", True),
    "Secret": ("api/v1", "secrets", True),
    "Service": ("api/v1", "services", True),
    "ServiceAccount": ("api/v1", "serviceaccounts", True),
    "StorageClass": ("apis/storage.k8s.io/v1", "storageclasses", False),
    "ValidatingAdmissionPolicy": ("apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies", False),
    "ValidatingAdmissionPolicyBinding": (
        "apis/admissionregistration.k8s.io/v1",
        "validatingadmissionpolicybindings",
        False,
    ),
}


def path_of(kind: str, name: str | None = None, namespace: str | None = None) -> str:
    """The path of an object, or of all objects of a kind when no name is given."""
    api, plural, namespaced = KINDS[kind]
    middle = f"/namespaces/{namespace}" if namespaced and namespace else ""
    return f"/{api}{middle}/{plural}" + (f"/{name}" if name else "")


def selector_of(wanted: Mapping[str, str] | None, parameter: str = "fieldSelector") -> dict[str, str]:
    """The parameter that has an API server list those alone whose fields, or labels, have these values."""
    selector = ",".join(f"{name}={value}" for name, value in (wanted or {}).items())
    return {parameter: selector} if selector else {}
