"""Where manifests of an inventory come from: files and folders beside it, and files on servers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.errors import BadUse
from bootstrap.inventory.manifests import ManifestSource
from bootstrap.machine.objects import Manifest, object_key
from bootstrap.manifests.differences import OF_SECRETS
from bootstrap.manifests.documents import LONGEST, STEP, Written, objects_in
from bootstrap.paths import expanded

ENDINGS = (".yaml", ".yml", ".json")
KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# What others rest on comes first, whatever the order in the file: a namespace, the definition of a kind.
FIRST = ("Namespace", "CustomResourceDefinition")
Fetch = Callable[[str, str], bytes]
"""What is at an address, by its SHA-256. Raises ClusterupError."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an inventory's manifests: `name` is the path or the address as it is written there, `objects` what
    it holds, in the order in which they are applied, `wait` how many seconds they may take until they are at work (0:
    that is not waited for). `takes_over`: fields that somebody else wrote may be written too."""

    name: str
    objects: tuple[Written, ...] = field(repr=False)
    wait: int
    takes_over: bool = False

    @property
    def digest(self) -> str:
        """What tells this content from another: the SHA-256 of all its objects, but for the values of Secrets, of which
        nothing is to be found out by trying."""
        text = json.dumps([_without_secrets(each.manifest) for each in self.objects], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _without_secrets(manifest: Manifest) -> Manifest:
    return {key: value for key, value in manifest.items() if manifest["kind"] != "Secret" or key not in OF_SECRETS}


def require_others(entries: Iterable[Entry], own: Iterable[Manifest]) -> None:
    """Raise BadUse where an entry names one of clusterup's `own` objects: both would write it for ever."""
    ours = {_is_same(each) for each in own}
    for written in (each for entry in entries for each in entry.objects):
        if _is_same(written.manifest) in ours:
            raise BadUse(
                f"{object_key(written.manifest)} is one of clusterup's own",
                step=STEP,
                tried="read the manifests of the inventory",
                got=f"it is written at {written.place} too",
                hint="take it out there; what of it can be another is said by the inventory: docs/inventory.md",
            )


def _is_same(manifest: Manifest) -> tuple[str, str]:
    return manifest["apiVersion"].rpartition("/")[0], object_key(manifest)


def read_entries(sources: Iterable[ManifestSource], inventory: Path, fetch: Fetch) -> tuple[Entry, ...]:
    """What the entries of the inventory's file hold. Paths are relative to the folder that it stands in.

    Raises BadUse for what can't be read or applied, and for an object that is written twice; ClusterupError for what
    can't be fetched.
    """
    found = tuple(_entry(source, inventory.parent, fetch) for source in sources)
    _require_once(found)
    return found


def troubles_of(sources: Sequence[ManifestSource], inventory: Path) -> Iterator[tuple[int, BadUse]]:
    """What is wrong with files and folders of the entries, with the entry's number; nothing is fetched."""
    fine: list[Entry] = []
    for number, source in enumerate(sources):
        if source.url is None:
            try:
                entry = _entry(source, inventory.parent, _fetches_nothing)
                _require_once([*fine, entry])
                fine.append(entry)
            except BadUse as error:
                yield number, error


def _fetches_nothing(*_: str) -> bytes:
    raise AssertionError("an entry with a path is not fetched")


def _require_once(entries: Iterable[Entry]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for written in (each for entry in entries for each in entry.objects):
        if (key := _is_same(written.manifest)) in seen:
            raise BadUse(
                f"{object_key(written.manifest)} is written twice",
                step=STEP,
                tried="read the manifests of the inventory",
                got=f"at {seen[key]} and at {written.place}",
                hint="keep one of them",
            )
        seen[key] = written.place


def _entry(source: ManifestSource, folder: Path, fetch: Fetch) -> Entry:
    if source.url is not None and source.sha256 is not None:
        written = list(objects_in(fetch(source.url, source.sha256), source.url))
    else:
        place = folder / expanded(str(source.path))
        written = [each for file, shown in _files(place, str(source.path)) for each in objects_in(_read(file), shown)]
    if not written:
        raise _unusable(source.name, "there is no object in it", "take it out of `manifests`, or write one into it")
    return Entry(source.name, _in_order(written), source.wait, source.take_over)


def _in_order(written: Sequence[Written]) -> tuple[Written, ...]:
    def rank(each: Written) -> int:
        kind = each.manifest["kind"]
        return FIRST.index(kind) if kind in FIRST else len(FIRST)

    return tuple(sorted(written, key=rank))


def _files(place: Path, shown: str) -> Iterator[tuple[Path, str]]:
    """The files of an entry in the order of their names, and what they are called in messages."""
    if not place.is_dir():
        yield place, shown
        return
    if any((place / name).exists() for name in KUSTOMIZATION):
        raise _unusable(
            shown,
            "it is made for kustomize, which is not run here",
            f"write down what it makes, and name that file: kubectl kustomize {shown} >{place.name}.yaml",
        )
    try:
        files = sorted(each for each in place.iterdir() if each.suffix in ENDINGS and not each.name.startswith("."))
    except OSError as error:
        raise _unreadable(shown, error) from None
    if not files:
        raise _unusable(shown, f"no file in this folder ends with {', '.join(ENDINGS)}", "name the folder with them")
    yield from ((each, f"{shown.rstrip('/')}/{each.name}") for each in files)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as handle:
            # A device or a pipe may never end; what is longer is refused by who reads it.
            return handle.read(LONGEST + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(str(file), error) from None


def _unreadable(name: str, error: OSError | ValueError) -> BadUse:
    said = getattr(error, "strerror", None) or str(error)
    hint = "paths are relative to the folder of the inventory"
    if isinstance(error, FileNotFoundError):
        hint += "; where another operator wrote it, the file is on their machine, and has to be copied"
    return _unusable(name, said, hint)


def _unusable(name: str, said: str, hint: str) -> BadUse:
    return BadUse(
        f"the manifests at {name} can't be used",
        step=STEP,
        tried="read what the inventory names under `manifests`",
        got=said,
        hint=hint,
    )
