"""What is in the executable, for machines: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from scripts.executable.tree import Component
from scripts.executable.wheels import normal


def sbom(version: str, commit: str, architecture: str, sha256: str, components: Sequence[Component]) -> dict[str, Any]:
    """The bill of materials of one executable. It has no time and no serial number: the same executable has the same
    one."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "clusterup",
                "name": "clusterup",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "hashes": [{"alg": "SHA-256", "content": sha256}],
                "properties": [
                    {"name": "clusterup:commit", "value": commit},
                    {"name": "clusterup:architecture", "value": architecture},
                ],
            }
        },
        "components": [_entry(each, architecture) for each in components],
    }


def _entry(component: Component, architecture: str) -> dict[str, Any]:
    if component.kind == "deb":
        # purl-spec, "deb"
        url = f"pkg:deb/debian/{component.name}@{component.version.replace(':', '%3A')}?arch={architecture}"
    else:
        url = f"pkg:pypi/{normal(component.name)}@{component.version}"
    entry: dict[str, Any] = {
        "type": "library",
        "bom-ref": url,
        "name": component.name,
        "version": component.version,
        "purl": url,
    }
    if component.licence:
        spdx = re.fullmatch(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*", component.licence)
        said = {"expression": component.licence} if spdx else {"license": {"name": component.licence}}
        entry["licenses"] = [said]
    return entry
