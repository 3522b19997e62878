"""Kubernetes objects as they are written: what is read out of any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]


def object_key(manifest: Mapping[str, Any]) -> str:
    """How an object is named in the facts: "Kind/name" or "Kind/namespace/name"."""
    metadata = manifest["metadata"]
    parts = [manifest["kind"], metadata.get("namespace"), metadata["name"]]
    return "/".join(part for part in parts if part)
