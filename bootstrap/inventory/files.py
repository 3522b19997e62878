"""Files of the operator's machine that an inventory names, and that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bootstrap.errors import BadUse
from bootstrap.inventory.load import ReadInventory
from bootstrap.inventory.model import NodeSettings
from bootstrap.inventory.text import printable
from bootstrap.inventory.words import named
from bootstrap.inventory.written_file.positions import KeyPath, Problem
from bootstrap.paths import expanded

FILE, KEY, FOLDER = "a file", "a private key, or beside the agent that holds it the public one (.pub)", "a folder"
BUNDLE = "a folder, or a file that `clusterup bundle pack` made"
_IN_A_FILE = "file:"


class Named(NamedTuple):
    """A path that an inventory names, where it does so, and what has to be there: FILE, KEY, FOLDER or BUNDLE."""

    place: KeyPath
    path: str
    kind: str


def missing_files(written: ReadInventory) -> list[Problem]:
    """What the inventory names on this machine and is not there, in the order of the file; what nodes have from
    `defaults` is named once."""
    document = written.document
    found = []
    for place, path, kind in _named(written):
        if place in document.places and (why := _missing(path, kind)):
            said = f"{named(document, place)}: {printable(path)}: {why}"
            found.append(Problem(document.file, *document.at(place), said, kind))
    return sorted(found, key=lambda problem: (problem.line, problem.column))


def _named(written: ReadInventory) -> Iterator[Named]:
    inventory = written.inventory
    if inventory.os.bundle is not None:
        yield Named(("os", "bundle"), inventory.os.bundle, BUNDLE)
    if "/" in inventory.kubernetes.source:
        yield Named(("kubernetes", "source"), inventory.kubernetes.source, FOLDER)
    yield from _of_settings(("defaults",), inventory.defaults)
    for number, node in enumerate(inventory.nodes):
        yield from _of_settings(("nodes", number), node)


def _of_settings(around: KeyPath, settings: NodeSettings) -> Iterator[Named]:
    ssh, console = settings.ssh, settings.console
    yield from _key((*around, "ssh", "key"), ssh.key)
    for name, source in (("password_from", ssh.password_from), ("passphrase_from", ssh.passphrase_from)):
        yield from _secret((*around, "ssh", name), source)
    for number, jump in enumerate(ssh.jump):
        yield from _key((*around, "ssh", "jump", number, "key"), jump.key)
        yield from _secret((*around, "ssh", "jump", number, "passphrase_from"), jump.passphrase_from)
    for name, source in (("password_from", console.password_from), ("root_password_from", console.root_password_from)):
        yield from _secret((*around, "console", name), source)


def _key(place: KeyPath, path: str | None) -> Iterator[Named]:
    if path is not None:
        yield Named(place, path, KEY)


def _secret(place: KeyPath, source: str | None) -> Iterator[Named]:
    if source is not None and source.startswith(_IN_A_FILE):
        yield Named(place, source.removeprefix(_IN_A_FILE), FILE)


def _missing(path: str, kind: str) -> str:
    """Why what is named can't be used; empty where it is there."""
    try:
        found = expanded(path)
        places = [found, Path(f"{found}.pub")] if kind is KEY else [found]
        there = next((place for place in places if place.exists()), None)
        if there is None:
            return {FOLDER: "there is no such folder", BUNDLE: "there is no such bundle"}.get(
                kind, "there is no such file"
            )
        if kind is BUNDLE:
            return ""
        if there.is_dir() is not (kind is FOLDER):
            return "this is not a folder" if kind is FOLDER else "this is a folder"
    except BadUse as error:
        return error.problem
    except OSError as error:
        return error.strerror or str(error)
    return ""
