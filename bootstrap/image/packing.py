"""Making one file of a bundle: all that is needed where there is no network, clusterup itself with it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

from bootstrap.content import Content
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.image.architecture import ARCHITECTURES
from bootstrap.image.bundle import MANIFEST, SIGNATURE, Artifact, Bundle
from bootstrap.image.files import bundle_as_data, verify_bundle
from bootstrap.image.manifest import manifest_of
from bootstrap.image.packed import packed
from bootstrap.image.signing import sign_manifest

STEP = "bundle"
EXECUTABLE = "tool/clusterup"
TOOL = "/tool/"
# What an executable of clusterup ends with (scripts/executable/launcher/launcher.c).
EXECUTABLE_MAGIC = b"clusterup executable 1\n"
EXECUTABLE_TRAILER = 256
# Where in the head of an ELF file stands which processor it is for (elf(5), e_machine).
ELF_MACHINE = 18


def pack_bundle(
    bundle: Bundle, executables: Sequence[Path], key: Path | None, target: Path, more: Sequence[Artifact] = ()
) -> str:
    """Write the bundle, executables of clusterup and `more` with it, into the file `target`, whole or not at all.
    Returns the fingerprint of the key that it is signed with now; empty where that is none, or the one that it was
    signed with. Raises ClusterupError."""
    verify_bundle(bundle, bundle.artifacts)
    along = _artifacts(bundle, executables) | {each.name: each for each in more}
    require_room_for(bundle, key, list(along))
    whole = replace(bundle, artifacts={**bundle.artifacts, **along})
    said = manifest_of(replace(whole, signed=None))
    signed, signer = (None if along else bundle.signed), ""
    manifest = json.dumps(said, indent=2) + "\n" if signed is None else signed.manifest
    if key is not None:
        signed, signer = sign_manifest(manifest, key)
    parts: dict[str, Content | bytes] = {MANIFEST: manifest.encode()}
    if signed is not None:
        parts[SIGNATURE] = signed.signature.encode()
    files = {name: entry["file"] for name, entry in said["artifacts"].items()}
    parts |= {files[name]: artifact.content for name, artifact in sorted(whole.artifacts.items())}
    programs = {file for name, file in files.items() if TOOL in f"/{name}"}
    _write(parts, programs, target)
    return signer


def require_room_for(bundle: Bundle, key: Path | None, names: Sequence[str]) -> None:
    """Raise Refused where artifacts of those names would be put into a bundle that somebody signed, and that nobody
    signs again."""
    if bundle.signed is not None and key is None and names:
        raise Refused(
            f"this bundle is signed, and with more in it it would not be any more: {', '.join(names)}",
            step=STEP,
            hint="name the key that signs it: --key FILE; or pack it as it is",
        )


def _write(parts: dict[str, Content | bytes], programs: Container[str], target: Path) -> None:
    unfinished = None
    try:
        file, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        unfinished = Path(name)
        with os.fdopen(file, "wb") as handle:
            os.fchmod(handle.fileno(), 0o644)
            for piece in packed(parts, programs):
                handle.write(piece)
            handle.flush()
            os.fsync(handle.fileno())
        unfinished.replace(target)
    except (OSError, ValueError) as error:
        got = error.strerror if isinstance(error, OSError) else str(error)
        raise ClusterupError(
            f"{target} can't be written",
            step=STEP,
            tried=f"pack {len(parts)} files",
            got=got or str(error),
            hint="make room, or name another file with --out",
        ) from None
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def goes_along(bundle: Bundle, executable: Path, key: Path | None) -> bool:
    """Whether the executable that runs goes into the file without being asked for: not where there is one already, nor
    into what somebody signed and nobody signs again."""
    signed = bundle.signed is not None and key is None
    return not signed and not _artifacts(bundle, [executable]).keys() & bundle.artifacts.keys()


def _artifacts(bundle: Bundle, executables: Sequence[Path]) -> dict[str, Artifact]:
    found: dict[str, Artifact] = {}
    for file in executables:
        architecture = _architecture_of(file)
        prefix = "" if architecture == bundle.architecture else f"{architecture}/"
        name = f"{prefix}{EXECUTABLE}"
        if name in found:
            raise BadUse(
                f"there are two executables for {architecture}", step=STEP, got=str(file), hint="name one of them"
            )
        found[name] = replace(bundle_as_data(name, file), inside=f"executable/clusterup-linux-{architecture}")
    return found


def _architecture_of(file: Path) -> str:
    """Which machines an executable of clusterup is for. Raises BadUse where it is none."""
    try:
        with file.open("rb") as handle:
            head = handle.read(ELF_MACHINE + 2)
            handle.seek(-min(EXECUTABLE_TRAILER, handle.seek(0, os.SEEK_END)), os.SEEK_END)
            end = handle.read()
    except OSError as error:
        raise BadUse(
            f"{file} can't be read", step=STEP, got=error.strerror or str(error), hint="name an executable of clusterup"
        ) from None
    machine = int.from_bytes(head[ELF_MACHINE:], "little")
    named = [each.name for each in ARCHITECTURES.values() if each.elf == machine]
    if not end.startswith(EXECUTABLE_MAGIC) or not named:
        raise BadUse(
            f"{file} is no executable of clusterup",
            step=STEP,
            got="its end is another one",
            hint="one is made by scripts/build-executable; the one that runs goes with it by itself",
        )
    return named[0]
