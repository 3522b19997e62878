"""The files of a bundle: their sizes and hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from bootstrap.content import Content
from bootstrap.errors import Refused
from bootstrap.image.bundle import BUILD_HINT, Artifact, Bundle, Partition


def verify_bundle(bundle: Bundle, names: Iterable[str]) -> None:
    """Read the files of the named artifacts and compare size and SHA-256 with the manifest.

    Raises Refused, naming the file and both hashes, at the first that differs or is missing.
    """
    for name in names:
        artifact = bundle.artifact(name)
        try:
            size, found = content_sha256(artifact.content)
        except OSError as error:
            raise Refused(
                f"the bundle's file {artifact.content.name} can't be read",
                tried=f"read {artifact.content}",
                got=error.strerror or str(error),
                hint=f"copy all of the bundle's folder from where it was made and name it (os.bundle), or {BUILD_HINT}",
            ) from None
        if found != artifact.sha256:
            raise Refused(
                f"the bundle's file {artifact.content.name} is not the one its manifest names",
                tried=f"SHA-256 of {artifact.content}, expected {artifact.sha256} ({artifact.size} bytes)",
                got=f"{found} ({size} bytes)",
                hint=f"don't use this bundle: fetch it again, or remove {bundle.directory} and build it again",
            )


def file_sha256(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hexadecimal) of a file. Raises OSError."""
    return content_sha256(Content(path))


def content_sha256(content: Content) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hexadecimal) of the bytes. Raises OSError."""
    with content.open() as handle:
        digest = hashlib.file_digest(handle, "sha256")
        return handle.tell(), digest.hexdigest()


def bundle_as_data(
    name: str,
    file: Path,
    *,
    components: Mapping[str, str] | None = None,
    reference: str | None = None,
    partitions: tuple[Partition, ...] = (),
) -> Artifact:
    """The artifact that a finished, uncompressed file is: its size and hash are read from it. Raises OSError."""
    size, sha256 = file_sha256(file)
    return Artifact(
        name, file, size, sha256, partitions=partitions, components=dict(components or {}), reference=reference
    )
