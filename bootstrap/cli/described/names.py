"""Names of this machine's things, looked up as somebody types: nodes, labs, clusters, runs, tokens.

Looking them up reaches no node, makes nothing, waits for no lock and raises nothing: what can't be read has no names.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.paths import cache_dir, state_dir

# An inventory that is longer is looked through for what looks like the name of a node.
LONGEST_READ = 256 << 10
LONGEST_FILE = 4 << 20
# Of a journal the end is read: the newest runs.
JOURNAL_END = 512 << 10
MOST_RUNS = 20
TOKENS = "tokens.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_NODE = re.compile(r"""^\s*(?:-\s*)?(?:\{\s*)?["']?name["']?:\s*["']?([a-z0-9][a-z0-9-]{0,62})""", re.MULTILINE)
_RUN = re.compile(rb'"run": "([0-9a-f]{4,32})"')


@dataclass(frozen=True, slots=True)
class Typed:
    """What has been typed up to here that tells which things are meant."""

    inventory: Path = Path("inventory.yaml")
    lab: str = "lab"
    cluster: str = ""


def names_of(kind: str, typed: Typed) -> list[tuple[str, str]]:
    """The names of that kind, each with a word about it."""
    look = _LOOKED_UP.get(kind)
    if look is None:
        return []
    try:
        found = list(look(typed))
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, ClusterupError):
        return []
    return [(name, about) for name, about in found if _NAME.fullmatch(name)]


def _nodes(typed: Typed) -> Iterable[tuple[str, str]]:
    text = _text(typed.inventory, LONGEST_FILE)
    if len(text) > LONGEST_READ:
        for name in _NODE.findall(text[text.find("nodes:") :]):
            yield name, ""
        return
    nodes = _document(text).get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, Mapping) and isinstance(node.get("name"), str):
            yield node["name"], str(node.get("role", "agent"))


def _text(path: Path, longest: int) -> str:
    """The beginning of a file. Raises OSError where it is none: a pipe may never end."""
    place = path.expanduser()
    if not place.is_file():
        raise FileNotFoundError(str(place))
    with place.open("rb") as handle:
        return handle.read(longest).decode("utf-8", "replace")


def _document(text: str) -> Mapping[str, object]:
    import yaml

    try:
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _machines(typed: Typed) -> Iterable[tuple[str, str]]:
    if not _NAME.fullmatch(typed.lab):
        return []
    lab = json.loads((_labs_folder() / typed.lab / "lab.json").read_bytes())
    return [(machine["name"], machine["role"]) for machine in lab["machines"]]


def _labs(_: Typed) -> Iterable[tuple[str, str]]:
    return [(place.name, "") for place in sorted(_labs_folder().glob("[!.]*")) if place.is_dir()]


def _saved_labs(_: Typed) -> Iterable[tuple[str, str]]:
    names = (place.name.rpartition("@")[0] or place.name for place in (cache_dir() / "labs").glob("[!.]*"))
    return [(name, "") for name in sorted(set(names))]


def _clusters(_: Typed) -> Iterable[tuple[str, str]]:
    return [(place.name, "") for place in sorted((state_dir() / "clusters").glob("[!.]*")) if place.is_dir()]


def _runs(typed: Typed) -> Iterable[tuple[str, str]]:
    with (_cluster_folder(typed) / "journal.jsonl").open("rb") as journal:
        journal.seek(0, 2)
        journal.seek(max(0, journal.tell() - JOURNAL_END))
        newest_first = dict.fromkeys(reversed(_RUN.findall(journal.read())))
    yield "last", "the newest"
    for run in list(newest_first)[:MOST_RUNS]:
        yield run.decode(), ""


def _tokens(typed: Typed) -> Iterable[tuple[str, str]]:
    known = json.loads((_cluster_folder(typed) / TOKENS).read_bytes())
    return [(token_id, str(each["role"])) for token_id, each in sorted(known.items()) if each["expires"] > time.time()]


def _cluster_folder(typed: Typed) -> Path:
    name = typed.cluster
    if not name:
        cluster = _document(_text(typed.inventory, LONGEST_READ)).get("cluster")
        name = str(cluster["name"]) if isinstance(cluster, Mapping) else ""
    if not _NAME.fullmatch(name):
        raise LookupError(name)
    return state_dir() / "clusters" / name


def _labs_folder() -> Path:
    return state_dir() / "labs"


_LOOKED_UP: Mapping[str, Callable[[Typed], Iterable[tuple[str, str]]]] = {
    "node": _nodes,
    "machine": _machines,
    "lab": _labs,
    "saved lab": _saved_labs,
    "cluster": _clusters,
    "run": _runs,
    "token": _tokens,
}
KINDS: Sequence[str] = tuple(_LOOKED_UP)
