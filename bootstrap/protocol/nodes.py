"""What kubelets say of themselves, as their Nodes have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_ready(node: Mapping[str, Any] | None) -> bool:
    """Whether there is such a Node, and its kubelet tells that it is well."""
    conditions = (node or {}).get("status", {}).get("conditions") or []
    return any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions)
