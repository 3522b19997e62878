"""`clusterup-node`: what runs on a node. Standard library only; see docs/architecture.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence

USAGE = """\
usage: clusterup-node COMMAND

  approve FILE   say yes or no to kubelets that ask for their certificate with a counted token (on servers)
  network FILE   keep this node's CNI configuration and the routes to the other nodes as the cluster has them
"""


def main(argv: Sequence[str]) -> int:
    """Run a command; 2 for a command line that names none."""
    match list(argv):
        case ["approve", path]:
            import approve  # the folder of this file is what Python runs

            return int(approve.main(path))
        case ["network", path]:
            import network

            return int(network.main(path))
        case ["--help" | "-h"]:
            sys.stdout.write(USAGE)
            return 0
        case _:
            sys.stderr.write(USAGE)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
