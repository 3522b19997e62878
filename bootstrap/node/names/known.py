"""What this node knew of the cluster's names, for unbound's next start: it answers before there is an API server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bootstrap.node.names.unbound import ALIAS, line_of

# A name server that nobody asks, because it is this machine: what is not known is answered at once with a failure. No
# name server at all would make unbound ask those of the root.
NOBODY = "127.0.0.1@9"


def known(names: Iterable[tuple[str, frozenset[str]]], resolvers: Iterable[str]) -> str:
    """unbound's configuration with these names, and with these name servers for all others."""
    return "".join(f"{line}\n" for line in _lines(names, resolvers))


def _lines(names: Iterable[tuple[str, frozenset[str]]], resolvers: Iterable[str]) -> Iterator[str]:
    yield "server:"
    for name, records in sorted(names):
        for record in sorted(records):
            if record.startswith(ALIAS):
                yield f'local-zone: "{name}" redirect'
            yield f'local-data: "{line_of(name, record)}"'
    yield "forward-zone:"
    yield 'name: "."'
    for server in tuple(resolvers) or (NOBODY,):
        yield f"forward-addr: {server}"
