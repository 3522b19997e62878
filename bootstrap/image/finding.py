"""Which bundle is meant, and reading it: a folder, or one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bootstrap.content import Content
from bootstrap.errors import ClusterupError
from bootstrap.image.bundle import BUILD_HINT, MANIFEST, SIGNATURE, Artifact, Bundle, NoBundle
from bootstrap.image.manifest import bundle_of, damaged
from bootstrap.image.packed import contents
from bootstrap.outside import parsed_json
from bootstrap.paths import cache_dir, expanded
from bootstrap.protocol.signed_bundle import LARGEST, SignedManifest


def bundles_dir() -> Path:
    """Where built bundles are kept, one folder each, the newest under the name `current`."""
    return cache_dir() / "bundle"


def find_bundle(configured: str | None) -> Bundle:
    """The bundle in the folder or file `configured`, or the one built last.

    Raises NoBundle where there is none, ClusterupError where its manifest can't be understood.
    """
    if configured is not None:
        return _load_named(expanded(configured))
    current = bundles_dir() / "current"
    if not current.is_dir():
        raise NoBundle("there is no bundle yet", tried=str(current), got="nothing there", hint=BUILD_HINT)
    return load_bundle(current.resolve())


def _load_named(place: Path) -> Bundle:
    if not place.exists():
        raise NoBundle(
            f"there is no bundle {place}",
            tried=f"look for {place.absolute()}",
            got="nothing there",
            hint="name the folder of a bundle, or the file that `clusterup bundle pack` made",
        )
    return load_bundle(place)


def load_bundle(directory: Path) -> Bundle:
    """The bundle in `directory`, a folder or a file, with the signature that lies beside its manifest: what the
    manifest itself says of one counts as little as what it says of itself.

    Raises NoBundle where the folder or its manifest is missing, ClusterupError where it is not what this version
    understands.
    """
    if directory.is_file():
        return _read_file(directory)
    text, bundle = _read(directory)
    try:
        signature = (directory / SIGNATURE).read_text(errors="replace")
    except FileNotFoundError:
        return replace(bundle, signed=None)
    except OSError as error:
        raise damaged(directory / SIGNATURE, error.strerror or str(error)) from None
    return replace(bundle, signed=SignedManifest(text, signature))


def known_bundle(directory: Path) -> Bundle:
    """What is known of a bundle without its files, in a folder that clusterup keeps. Raises as `load_bundle`."""
    return _read(directory)[1]


def _read_file(file: Path) -> Bundle:
    """The bundle that a file is. Raises ClusterupError."""
    try:
        found = contents(file)
        if MANIFEST not in found:
            raise ValueError(f"it has no {MANIFEST}")
        text = _text(found[MANIFEST])
        bundle = bundle_of(file, parsed_json(text))
        named = {MANIFEST, SIGNATURE, *(part.inside for part in bundle.artifacts.values())}
        if others := found.keys() - named:
            raise ValueError(f"its manifest does not name {min(others)}")
        signature = _text(found[SIGNATURE]) if SIGNATURE in found else None
        artifacts = {name: _inside(part, found) for name, part in bundle.artifacts.items()}
    except OSError as error:
        raise NoBundle(
            f"{file} can't be read", tried=f"read {file}", got=error.strerror or str(error), hint=BUILD_HINT
        ) from None
    except ValueError as error:
        raise ClusterupError(
            f"{file} is no whole bundle",
            tried=f"read {file}",
            got=str(error),
            hint="copy it again, or go on with a copy that was cut off: rsync --append-verify, curl -C -",
        ) from None
    signed = None if signature is None else SignedManifest(text, signature)
    return replace(bundle, artifacts=artifacts, signed=signed)


def _text(content: Content) -> str:
    with content.open() as handle:
        text = handle.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ValueError(f"{content.inside} is longer than a manifest is")
    return text.decode(errors="replace")


def _inside(artifact: Artifact, found: Mapping[str, Content]) -> Artifact:
    """The artifact where it stands in the bundle's file. Raises ValueError."""
    content = found.get(artifact.inside)
    if content is None or content.size != artifact.size:
        got = "it is not there" if content is None else f"{content.size} bytes"
        raise ValueError(f"{artifact.inside} is to have {artifact.size} bytes: {got}")
    return replace(artifact, file=content.file, begins=content.begins)


def _read(directory: Path) -> tuple[str, Bundle]:
    manifest = directory / MANIFEST
    try:
        text = manifest.read_bytes().decode()
        data = parsed_json(text)
    except OSError as error:
        raise NoBundle(
            f"{directory} holds no bundle", tried=f"read {manifest}", got=error.strerror or str(error), hint=BUILD_HINT
        ) from None
    except ValueError as error:
        raise damaged(manifest, f"no JSON: {error}") from None
    return text, bundle_of(directory, data)
