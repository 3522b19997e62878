"""A cluster's status as tables that a person reads."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bootstrap.steps.status import ClusterStatus

GOOD = "green"
BAD = "red"


def print_status(status: ClusterStatus, console: Console) -> None:
    """Print nodes, etcd members and API servers."""
    console.print(Group(_nodes(status), _members(status), _servers(status)))
    console.print(Text("healthy", GOOD) if status.healthy else Text("not healthy", BAD))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _nodes(status: ClusterStatus) -> RenderableType:
    table = _table(f"cluster {status.cluster}", "NODE", "STATE", "ROLE", "ADDRESS", "KUBELET", "OS", "")
    for node in status.nodes:
        state = Text(node.state, GOOD if node.state == "Ready" else BAD)
        said = "; ".join(text for text in (node.problem, node.note) if text)
        table.add_row(node.name, state, node.role, node.address, node.kubelet or "-", node.os or "-", said)
    return table


def _members(status: ClusterStatus) -> RenderableType:
    if not status.etcd:
        return Text("etcd: no member answers", BAD)
    table = _table("etcd", "MEMBER", "ROLE", "LAG", "SIZE", "VERSION", "")
    for member in status.etcd:
        role = "leader" if member.leader else "voter" if member.voter else "learner, joining"
        lag = "-" if member.lag is None else str(member.lag)
        size = "-" if member.db_size is None else f"{member.db_size / 1e6:.1f} MB"
        table.add_row(member.name, role, lag, size, member.version or "-", Text(member.problem or "", BAD))
    return table


def _servers(status: ClusterStatus) -> RenderableType:
    table = _table("API servers", "NODE", "STATE", "VERSION", "")
    for server in status.api:
        state = Text("ready", GOOD) if server.ready else Text("not ready", BAD)
        table.add_row(server.node, state, server.version or "-", Text(server.problem or "", BAD))
    return table
