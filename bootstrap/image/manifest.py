"""The manifest of a bundle (`manifest.json`, format 1, described in docs/image.md): from data, and to it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from bootstrap.errors import ClusterupError
from bootstrap.image.architecture import AMD64, ARCHITECTURES
from bootstrap.image.bundle import (
    ALIGNMENT,
    BUILD_HINT,
    FORMAT,
    MANIFEST,
    OTHERS_FORMAT,
    Artifact,
    Bundle,
    Partition,
    Segment,
)
from bootstrap.protocol.signed_bundle import signed_manifest


def bundle_of(directory: Path, data: Any) -> Bundle:
    """The bundle in `directory` whose manifest says `data`; the files themselves need not be there.

    Raises ClusterupError where it is not what this version understands.
    """
    manifest = directory / MANIFEST
    found = data.get("format") if isinstance(data, dict) else None
    if found not in (FORMAT, OTHERS_FORMAT):
        raise ClusterupError(
            f"the bundle's manifest has a format that this clusterup doesn't know ({found})",
            tried=f"read {manifest}",
            hint=f"use the clusterup that made it, or {BUILD_HINT}",
        )
    try:
        artifacts = {name: _artifact(directory, name, entry) for name, entry in data["artifacts"].items()}
        signed = signed_manifest(data["signed"]) if "signed" in data else None
        architecture = ARCHITECTURES[data.get("architecture", AMD64.name)].name
        return Bundle(directory, str(data["version"]), artifacts, signed, architecture)
    except KeyError as error:
        raise damaged(manifest, f"{error} is missing") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise damaged(manifest, str(error)) from None


def manifest_of(bundle: Bundle) -> dict[str, Any]:
    """What the bundle's manifest says; what was signed goes with it where the bundle is only known of, and its own
    manifest and signature are not there. Raises ValueError where an artifact's file is not inside the directory."""
    artifacts = {name: _entry(bundle.directory, artifact) for name, artifact in sorted(bundle.artifacts.items())}
    signed = {} if bundle.signed is None else {"signed": asdict(bundle.signed)}
    # Where nothing is said it is the one that all bundles had once.
    other = {} if bundle.architecture == AMD64.name else {"architecture": bundle.architecture, "format": OTHERS_FORMAT}
    return {"format": FORMAT, "version": bundle.version, **other, "artifacts": artifacts, **signed}


def write_manifest(bundle: Bundle) -> Path:
    """Write the bundle's manifest into its directory, whole or not at all, and return its path.

    Raises ValueError where an artifact's file is not inside the directory.
    """
    data = manifest_of(bundle)
    manifest = bundle.directory / MANIFEST
    unfinished = manifest.with_suffix(".json.new")
    with unfinished.open("w", encoding="utf-8") as handle:
        handle.write(json.dumps(data, indent=2) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    unfinished.replace(manifest)
    return manifest


def _entry(directory: Path, artifact: Artifact) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "file": artifact.inside or artifact.file.relative_to(directory).as_posix(),
        "size": artifact.size,
        "sha256": artifact.sha256,
    }
    if artifact.raw_size is not None:
        entry["raw_size"] = artifact.raw_size
    if artifact.segments:
        entry["segments"] = [asdict(segment) for segment in artifact.segments]
    if artifact.partitions:
        entry["partitions"] = [
            {"label": part.label, "offset": part.offset, "size": part.size} for part in artifact.partitions
        ]
    if artifact.components:
        entry["components"] = dict(sorted(artifact.components.items()))
    if artifact.reference is not None:
        entry["reference"] = artifact.reference
    return entry


def _artifact(directory: Path, name: str, entry: dict[str, Any]) -> Artifact:
    relative = PurePosixPath(entry["file"])
    # A manifest may come from elsewhere, and its names are written to disks and to other machines' files.
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"{name}: the file {relative} is outside the bundle")
    raw_size = entry.get("raw_size")
    return Artifact(
        name=name,
        file=directory / relative,
        size=int(entry["size"]),
        sha256=_hash(name, entry["sha256"]),
        raw_size=None if raw_size is None else int(raw_size),
        segments=tuple(_segment(name, found) for found in entry.get("segments", ())),
        partitions=tuple(
            Partition(str(part["label"]), int(part["offset"]), int(part["size"]))
            for part in entry.get("partitions", ())
        ),
        components={str(key): str(value) for key, value in entry.get("components", {}).items()},
        reference=entry.get("reference"),
        inside=relative.as_posix() if directory.is_file() else "",
    )


def _segment(name: str, entry: dict[str, Any]) -> Segment:
    places = [int(entry[key]) for key in ("offset", "size", "packed_offset", "packed_size")]
    if min(places) < 0 or places[0] % ALIGNMENT:
        raise ValueError(f"{name}: no segment: {entry}")
    offset, size, packed_offset, packed_size = places
    return Segment(offset, size, _hash(name, entry["sha256"]), packed_offset, packed_size)


def _hash(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise ValueError(f"{name}: {value!r} is not a SHA-256")
    return value


def damaged(manifest: Path, what: str) -> ClusterupError:
    """What is said of a manifest, or of its signature, that can't be understood."""
    return ClusterupError(
        f"the bundle's {manifest.name} can't be understood", tried=f"read {manifest}", got=what, hint=BUILD_HINT
    )
