"""`clusterup-node join` of a machine that is a folder, in a process of its own which imports what a node has.

`python -m tests.helpers.join_in_a_folder FILE`, a JSON object with root, api and artifacts (ports of 127.0.0.1), token,
pin, name and address. In a folder nothing takes its time: it looks ten times a second at what has come of it, not every
five seconds.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bootstrap.node import machine
from bootstrap.node.joining import fetch, join
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.token import token_in

EVERY_SECONDS = 0.1


def main(path: Path) -> None:
    """Join as the file says. Raises what the agent raises."""
    told = json.loads(path.read_text())
    server = ServerUrl("127.0.0.1", told["api"])
    join.LOCAL_API = server
    join.EVERY_SECONDS = EVERY_SECONDS

    def source(servers: list[str], ca: str, token: str) -> fetch.Source:
        return fetch.Source(servers, ca, token, port=told["artifacts"])

    vars(join)["Source"] = source
    pins, token = frozenset({told["pin"]}), token_in(told["token"])
    join.join(
        join.Wish(server, token, pins, told["name"], told["address"]), machine.Machine(Path(told["root"]), machine.say)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
