"""A cluster's entries in the kubeconfig of a person, in which others have theirs: as `kubectl config` does it.

What others wrote stays as it is written: only nodes of the YAML that are clusterup's own are touched, so that a user
called 012 is not called 10 afterwards. Writers wait for each other by the file FILE.lock, which kubectl, kind and
others make too (client-go, tools/clientcmd/config.go).
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bootstrap.errors import BadUse, Refused
from bootstrap.outside import on_one_line
from bootstrap.paths import home_folder, private_folder
from bootstrap.pki.kubeconfig import Kubeconfig, to_yaml, unwritable
from bootstrap.pki.x509 import is_certificate, signed_by
from bootstrap.written import rewrite, write_private

STEP = "kubeconfig"
TRIED = "read it to merge the new cluster into it"
ELSEWHERE = "put the cluster into a file of its own: clusterup kubeconfig --out FILE, then KUBECONFIG=FILE kubectl ..."
# Seconds that another writer may take; nobody tells when it is done.
WRITER, LOOK_AGAIN = 15.0, 0.05
LONGEST_LINE = 1 << 20
SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}
# What says otherwise than clusterup's entry how the cluster is known.
_OTHER_TRUST = ("certificate-authority", "insecure-skip-tls-verify")


@dataclass(frozen=True, slots=True)
class Other:
    """An entry that has the name of one of ours and is another cluster's: "cluster", "user" or "context"."""

    kind: str
    name: str
    says: str

    def __str__(self) -> str:
        return f"the {self.kind} {self.name!r} ({self.says})"


def own_kubeconfig() -> Path:
    """The kubeconfig that kubectl reads by itself: the first of $KUBECONFIG that is not empty, or ~/.kube/config.
    Raises BadUse where there is no home folder."""
    named = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    if named:
        return Path(named[0])
    home = home_folder()
    if home is None:
        raise BadUse(
            "your kubeconfig can't be found: this user has no home folder",
            step=STEP,
            tried="$KUBECONFIG, $HOME and the user database",
            got="none of them names a place",
            hint="set KUBECONFIG to a file of yours",
        )
    return home / ".kube" / "config"


def others_in(path: Path, new: Kubeconfig) -> list[Other]:
    """The entries at `path` that merging `new` would replace, and that are another cluster's. Raises BadUse when the
    file is not a kubeconfig or can't be read."""
    content = _content(path)
    root = None if content is None else _root(path, content)
    return [] if root is None else list(_others(path, root, new))


def merge_kubeconfig(path: Path, new: Kubeconfig, replaced: Collection[Other] = ()) -> None:
    """Put the cluster, user and context of `new` into the kubeconfig at `path` and make its context the current one.

    Other entries, and keys that clusterup does not know, stay as they are; what was there before is kept as `path`.bak.
    Raises Refused for entries of another cluster that are not among `replaced`, BadUse when the file is not a
    kubeconfig or can't be written.
    """
    with unwritable(path), _alone(path):
        before = _content(path)
        root = None if before is None else _root(path, before)
        if before is None:
            write_private(path, to_yaml(new))
            return
        if root is None:
            rewrite(path, to_yaml(new))
            return
        others = [other for other in _others(path, root, new) if other not in replaced]
        if others:
            raise another_cluster(path, others)
        untouched = _written(root)
        for section in SECTIONS:
            for entry in new[section]:
                _put(root, section, entry)
        _set(root, "current-context", _scalar(new["current-context"]))
        if (after := _written(root)) != untouched:
            write_private(path.with_name(f"{path.name}.bak"), before)
            rewrite(path, after)


def another_cluster(path: Path, others: Collection[Other]) -> Refused:
    """What to say where entries of another cluster would be replaced."""
    return Refused(
        f"{path} has entries of another cluster under the same name: {', '.join(map(str, others))}",
        step=STEP,
        tried="merge this cluster into it",
        got="they would be replaced, and nobody has said that they may be",
        hint=f"{ELSEWHERE}; or take out first what is there: kubectl config delete-context (-cluster, -user)",
    )


def _written(root: yaml.Node) -> bytes:
    text: str = yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True, width=LONGEST_LINE)
    return text.encode()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else who asks in the same way writes the file, nor what its name leads to. Raises BadUse, OSError."""
    private_folder(path.parent)
    with ExitStack() as held:
        # Two spellings of one place are one lock.
        for name in dict.fromkeys((path.parent.resolve() / path.name, path.resolve())):
            held.enter_context(_lock(name.with_name(f"{name.name}.lock")))
        yield


@contextmanager
def _lock(place: Path) -> Iterator[None]:
    until = time.monotonic() + WRITER
    while True:
        try:
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > until:
                raise BadUse(
                    f"somebody else is writing {place.with_suffix('')}",
                    step=STEP,
                    tried=f"wait {WRITER:.0f} seconds for {place} to go away",
                    got="it is still there",
                    hint=f"where no kubectl, kind or clusterup is at work, one was killed: rm {place}",
                ) from None
            time.sleep(LOOK_AGAIN)
    try:
        yield
    finally:
        place.unlink(missing_ok=True)


def _content(path: Path) -> bytes | None:
    """The file's content; None where there is none. Raises BadUse."""
    try:
        if path.exists() and not path.is_file():
            raise OSError(None, "it is a folder" if path.is_dir() else "it is not a file, but a device or a pipe")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadUse(
            f"{path} can't be read",
            step=STEP,
            tried=TRIED,
            got=error.strerror or str(error),
            hint=f"make it yours, or {ELSEWHERE}",
        ) from None


def _root(path: Path, content: bytes) -> yaml.MappingNode | None:
    """The kubeconfig as it is written; None where nothing is. Raises BadUse where it is none."""
    try:
        found = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadUse(
            f"{path} is not YAML",
            step=STEP,
            tried=TRIED,
            got=on_one_line(str(error).splitlines()[0]),
            hint=f"correct it, or {ELSEWHERE}",
        ) from None
    if found is None or (isinstance(found, yaml.ScalarNode) and found.tag.endswith(":null")):
        return None
    kind = _text(found, "kind") if isinstance(found, yaml.MappingNode) else "no mapping"
    if not isinstance(found, yaml.MappingNode) or kind not in ("", "Config"):
        raise _no_kubeconfig(path, f"kind: {kind}")
    for section in SECTIONS:
        value = _get(found, section)
        if not (value is None or isinstance(value, yaml.SequenceNode) or value.tag.endswith(":null")):
            raise _no_kubeconfig(path, f"{section} is not a list")
    return found


def _no_kubeconfig(path: Path, got: str) -> BadUse:
    return BadUse(f"{path} is not a kubeconfig", step=STEP, tried=TRIED, got=on_one_line(got), hint=ELSEWHERE)


def _others(path: Path, root: yaml.MappingNode, new: Kubeconfig) -> Iterator[Other]:
    """Which entries of our names are another cluster's: known by another authority, of another user, or leading from
    the context to something else."""
    (cluster,), (user,), (context,) = (new[section] for section in SECTIONS)
    authority = base64.b64decode(cluster["cluster"]["certificate-authority-data"])
    found = _entry(root, "clusters", cluster["name"])
    if found is not None and not _same(_data(path, found, "cluster", "certificate-authority"), authority):
        yield Other("cluster", cluster["name"], _text(found, "cluster", "server") or "without a server")
    found = _entry(root, "users", user["name"])
    ours = base64.b64decode(user["user"]["client-certificate-data"])
    if found is not None and not _is_of(_data(path, found, "user", "client-certificate"), ours, authority):
        yield Other("user", user["name"], "with credentials of another authority")
    found = _entry(root, "contexts", context["name"])
    if found is not None:
        leads = (_text(found, "context", "cluster"), _text(found, "context", "user"))
        if leads != (context["context"]["cluster"], context["context"]["user"]):
            yield Other("context", context["name"], f"user {leads[1]!r} of the cluster {leads[0]!r}")


def _same(found: bytes, authority: bytes) -> bool:
    return found.strip() == authority.strip()


def _is_of(certificate: bytes, ours: bytes, authority: bytes) -> bool:
    return _same(certificate, ours) or (is_certificate(certificate) and signed_by(certificate, authority))


def _data(path: Path, entry: yaml.MappingNode, kind: str, key: str) -> bytes:
    """What stands under KEY-data, or in the file that is named under KEY; nothing where there is neither."""
    try:
        if data := _text(entry, kind, f"{key}-data"):
            return base64.b64decode(data)
        named = _text(entry, kind, key)
        # A name without a folder is one beside the kubeconfig.
        return (path.resolve().parent / named).read_bytes() if named else b""
    except (OSError, ValueError, binascii.Error):
        return b""


def _put(root: yaml.MappingNode, section: str, entry: dict[str, Any]) -> None:
    """Put an entry in the place of the one of its name, or behind the others. What a person has added to a cluster or a
    context of ours (a proxy, a namespace) stays."""
    kind = SECTIONS[section]
    found = _entry(root, section, entry["name"])
    if found is None:
        listed = _get(root, section)
        if not isinstance(listed, yaml.SequenceNode):
            listed = yaml.SequenceNode("tag:yaml.org,2002:seq", [], flow_style=False)
            _set(root, section, listed)
        if not listed.value:
            listed.flow_style = root.flow_style or False
        listed.value.append(_node(entry))
        return
    there = _get(found, kind)
    if kind == "user" or not isinstance(there, yaml.MappingNode):
        _set(found, kind, _node(entry[kind]))
        return
    there.value = [pair for pair in there.value if pair[0].value not in _OTHER_TRUST]
    for key, value in entry[kind].items():
        _set(there, key, _scalar(value))


def _entry(root: yaml.MappingNode, section: str, name: str) -> yaml.MappingNode | None:
    listed = _get(root, section)
    each = listed.value if isinstance(listed, yaml.SequenceNode) else []
    return next((entry for entry in each if isinstance(entry, yaml.MappingNode) and _text(entry, "name") == name), None)


def _get(node: yaml.Node, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    # Of a key that stands twice the last one counts, for kubectl too.
    return next((value for name, value in reversed(pairs) if name.value == key), None)


def _text(node: yaml.Node, *keys: str) -> str:
    found: yaml.Node | None = node
    for key in keys:
        found = None if found is None else _get(found, key)
    return found.value if isinstance(found, yaml.ScalarNode) else ""


def _set(node: yaml.MappingNode, key: str, value: yaml.Node) -> None:
    for number, (name, _) in reversed(list(enumerate(node.value))):
        if name.value == key:
            node.value[number] = (name, value)
            return
    node.value.append((_scalar(key), value))


def _node(value: Any) -> yaml.Node:
    found = yaml.compose(yaml.safe_dump(value, sort_keys=False), Loader=yaml.SafeLoader)
    assert found is not None
    return found


def _scalar(text: str) -> yaml.Node:
    return _node(text)
