"""`clusterup-node`: what runs on a node. Standard library only; see docs/architecture.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence

USAGE = """\
usage: clusterup-node COMMAND

  join URL ...   make this machine an agent of a cluster; see `clusterup-node join --help`
  join-as FILE   the same as the machine's configuration says, until it has joined
  network FILE   keep this node's CNI configuration and the routes to the other nodes as the cluster has them
  serve FILE     hand the payload and the container images to nodes that join with a token
"""


def main(argv: Sequence[str]) -> int:
    """Run a command; 2 for a command line that names none."""
    match list(argv):
        case ["network", path]:
            import network  # the folder of this file is what Python runs

            return int(network.main(path))
        case ["join", *arguments]:
            import join_command

            return int(join_command.main(arguments))
        case ["join-as", path]:
            import join_command

            return int(join_command.unattended(path))
        case ["serve", path]:
            import serve

            return int(serve.main(path))
        case ["--help" | "-h"]:
            sys.stdout.write(USAGE)
            return 0
        case _:
            sys.stderr.write(USAGE)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
