"""`clusterup-node`: what runs on a node. Standard library only; see docs/architecture.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from bootstrap.outside import guard_streams

USAGE = """\
usage: clusterup-node COMMAND

  approve FILE   say yes or no to kubelets that ask for their certificate with a token (on servers)
  join URL ...   make this machine a node of a cluster; see `clusterup-node join --help`
  join-as FILE   the same as the machine's configuration says, until it has joined
  install FILE   install this machine, which runs from a stick, as the stick says
  network FILE   keep the routes of this node, its CNI configuration and the cluster's names as the cluster has them
  serve FILE     hand the payload and the container images to nodes that join with a token
"""
# Each module is imported when it is used: a small machine takes a while for each.
WITH_FILE = {
    "approve": ("approver.approve", "main"),
    "install": ("install", "main"),
    "join-as": ("joining.command", "unattended"),
    "network": ("agent", "main"),
    "serve": ("artifacts.serve", "main"),
}


def main(argv: Sequence[str]) -> int:
    """Run a command; 2 for a command line that names none."""
    match list(argv):
        case ["join", *arguments]:
            return int(import_module("bootstrap.node.joining.command").main(arguments))
        case [command, path] if command in WITH_FILE:
            module, function = WITH_FILE[command]
            return int(getattr(import_module(f"bootstrap.node.{module}"), function)(path))
        case ["--help" | "-h"]:
            sys.stdout.write(USAGE)
            return 0
        case _:
            sys.stderr.write(USAGE)
            return 2


def start() -> None:
    """Run the command of this process, and end with its exit code."""
    guard_streams()
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    start()
