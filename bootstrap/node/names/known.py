"""What this node knew of the cluster's names, for unbound's next start: it answers before there is an API server."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

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


def write_whole(path: Path, text: str) -> None:
    """Write the file, whole or not at all; everybody may read it. Raises OSError.

    The folder may be that of a service which is not trusted: a link that stands in the way is not followed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "w") as file:
        file.write(text)
    os.replace(unfinished, path)  # noqa: PTH105
