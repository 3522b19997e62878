"""What a node is asked for: `templates/support/node.sh`, in one round trip."""

from __future__ import annotations

import secrets

from bootstrap.paths import templates_dir
from bootstrap.transport.base import Command, Transport

SCRIPT = "support/node.sh"
SECONDS = 300.0
# Of a part of what is said, in characters; the script bounds each by itself.
MOST = 1_000_000


def node_parts(way: Transport) -> dict[str, str]:
    """What the node says of itself, by the names of files that it is to be put into. Raises TransportError."""
    mark = f"part-{secrets.token_hex(8)}"
    script = (templates_dir() / SCRIPT).read_text()
    answer = way.run(Command("look for faults", f"MARK={mark}\n{script}"), timeout=SECONDS)
    return parts_in(answer.stdout.decode(errors="backslashreplace"), mark)


def parts_in(said: str, mark: str) -> dict[str, str]:
    """The parts of what the script said."""
    found: dict[str, str] = {}
    for part in said.split(f"{mark} ")[1:]:
        name, _, text = part.partition("\n")
        if "/" not in name and name not in ("", ".", ".."):
            found[name] = text[-MOST:]
    return found
