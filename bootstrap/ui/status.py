"""A cluster's status as tables that a person reads."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table

from bootstrap.operations.status import ClusterStatus
from bootstrap.ui.terminal import text

GOOD = "green"
BAD = "red"


def print_status(status: ClusterStatus, console: Console) -> None:
    """Print nodes, etcd members and API servers."""
    console.print(Group(_nodes(status), _members(status), _servers(status)))
    console.print(text("healthy", GOOD) if status.healthy else text("not healthy", BAD))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _nodes(status: ClusterStatus) -> RenderableType:
    table = _table(f"cluster {status.cluster}", "NODE", "STATE", "ROLE", "ADDRESS", "KUBELET", "OS", "")
    for node in status.nodes:
        state = text(node.state, GOOD if node.state == "Ready" else BAD)
        said = "; ".join(words for words in (node.problem, node.note) if words)
        cells = node.role, node.address, node.kubelet or "-", node.os or "-", said
        table.add_row(text(node.name), state, *map(text, cells))
    return table


def _members(status: ClusterStatus) -> RenderableType:
    if not status.etcd:
        return text("etcd: no member answers", BAD)
    table = _table("etcd", "MEMBER", "ROLE", "LAG", "SIZE", "VERSION", "")
    for member in status.etcd:
        role = "leader" if member.leader else "voter" if member.voter else "learner, joining"
        lag = "-" if member.lag is None else str(member.lag)
        size = "-" if member.db_size is None else f"{member.db_size / 1e6:.1f} MB"
        table.add_row(
            *map(text, (member.name, role, lag, size, member.version or "-")),
            text(member.problem or "; ".join(member.alarms), BAD),
        )
    return table


def _servers(status: ClusterStatus) -> RenderableType:
    table = _table("API servers", "NODE", "STATE", "VERSION", "")
    for server in status.api:
        state = text("ready", GOOD) if server.ready else text("not ready", BAD)
        table.add_row(text(server.node), state, text(server.version or "-"), text(server.problem or "", BAD))
    return table
