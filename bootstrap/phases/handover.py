"""Keeping the handover file on every server, so that losing the operator's machine loses nothing.

A server gets it when it is a voting member: whoever adopts from it knows that etcd has been founded.
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.phases.reasons import judged
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.node import Desired
from bootstrap.state.cluster import ClusterState
from bootstrap.transport.base import Command

# What arrives cut short never gets the file's name; what is there stays until the new one is on the disk.
_KEEP = """\
set -eu
umask 077
file={} expected={}
cat >"$file.new"
found=$(sha256sum <"$file.new")
[ "${{found%% *}}" = "$expected" ] || {{ echo "what arrived is not what was sent" >&2; exit 1; }}
sync "$file.new"
mv -f "$file.new" "$file"
"""


def handover_actions(desired: Desired, state: ClusterState, after: Sequence[str] = ()) -> list[Action[ClusterFacts]]:
    """The action that keeps the handover file on a server, when the actions `after` are done; none for an agent."""
    name, file = desired.node.name, desired.handover
    if file is None:
        return []
    return [
        Action(
            id=f"{name}/handover",
            node=name,
            step="handover",
            title="keep keys and inventory on it, for `clusterup adopt`",
            check=judged(name, lambda facts, _: _reason(file, facts, state)),
            apply=lambda context: _keep(context, name, file, state),
            needs=(f"{name}/etcd.member", *after),
        )
    ]


def _reason(file: NodeFile, facts: NodeFacts, state: ClusterState) -> str | None:
    found = facts.files.get(file.path)
    if found == file.sha256:
        return None
    if found is None:
        return f"{file.path} is missing"
    if found in state.handovers:
        return f"{file.path} is older than the inventory, the keys or the bundle here"
    return (
        f"{file.path} was not written from here: another operator may have applied since "
        "(`clusterup adopt` says what they have that is not here)"
    )


def _keep(context: Context, node: str, file: NodeFile, state: ClusterState) -> None:
    # First the note: an end between the two must not make our own file look like another operator's.
    state.note_handover(file.sha256)
    keep = Command.of("keep the handover file", _KEEP, file.path, file.sha256)
    context.on(node).check(keep, stdin=file.content, timeout=120)
