"""What is other in the files that a plan would write: the node's against ours, as a diff."""

from __future__ import annotations

import base64
import binascii
import difflib
from collections.abc import Iterator, Mapping, Sequence

from bootstrap.engine.changes import OTHER_CONTENT, FileChange
from bootstrap.engine.connections import Connections
from bootstrap.engine.plan import Plan
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts
from bootstrap.operations.intent import Intent
from bootstrap.transport.base import Command

# A certificate that is another one says nothing to people.
CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
LONGEST = 256 << 10
MOST_LINES = 200
# Standard input: paths, a line each. base64, as a console carries text alone.
_READ = """\
while read -r path; do
    echo "file $path"
    head -c {0} "$path" | base64
done
"""


def differences(
    plan: Plan[ClusterFacts], intent: Intent, connections: Connections
) -> dict[tuple[str, str], tuple[str, ...]]:
    """The lines of a diff of each file that is there with another content, by node and path. Nothing of a secret file
    is read. Where a node can't be asked any more, that is what stands there."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for node, changes in _shown(plan).items():
        ours = {file.path: file.content for file in intent.nodes[node].files}
        try:
            theirs = _read(connections, node, [change.path for change in changes])
        except ClusterupError as error:
            found |= {(node, change.path): (f"(it can't be read: {error.problem})",) for change in changes}
            continue
        for change in changes:
            found[node, change.path] = tuple(_diff(theirs.get(change.path, b""), ours[change.path]))
    return found


def _shown(plan: Plan[ClusterFacts]) -> dict[str, list[FileChange]]:
    found: dict[str, list[FileChange]] = {}
    for item in plan.items:
        for change in item.changes.files:
            if item.action.node is not None and change.what == OTHER_CONTENT and not change.secret:
                found.setdefault(item.action.node, []).append(change)
    return found


def _read(connections: Connections, node: str, paths: Sequence[str]) -> Mapping[str, bytes]:
    script = Command.of("read files", _READ, str(LONGEST))
    said = connections.on(node).check(script, stdin="".join(f"{path}\n" for path in paths).encode()).text
    lines: dict[str, list[str]] = {}
    for line in said.splitlines():
        kind, _, path = line.partition(" ")
        if kind == "file" and path:
            lines[path] = []
        elif lines:
            lines[next(reversed(lines))].append(line)
    return {path: _decoded("".join(each)) for path, each in lines.items()}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _diff(theirs: bytes, ours: bytes) -> Iterator[str]:
    if CERTIFICATE in ours:
        yield "(another certificate)"
        return
    try:
        before, after = theirs.decode().splitlines(), ours.decode().splitlines()
    except UnicodeDecodeError:
        yield "(it is not text)"
        return
    # Without the names of files, which stand above it.
    lines = list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]
    if not lines:
        yield "(the copy for the next boot is another one)" if before == after else "(the ends of its lines)"
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"({len(lines) - MOST_LINES} lines more)"
