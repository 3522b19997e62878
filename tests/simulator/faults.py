"""Faults that clusterup does not have, put into it for a trial: would the sweep see them?

As a program (`python -m tests.simulator.faults`) it tries each and prints what was seen, as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.simulator.operator import shorten_waits
from tests.simulator.sweep import Ground, Moment, Shape, What, tried


def tokens_stay() -> None:
    """No one takes a token back."""
    from bootstrap.phases import kubelet as join

    join._take_tokens_back = lambda *_: None


def table_first() -> None:
    """The partition table is written, and the configuration is not."""
    from bootstrap.phases.install import install

    write = install._write_and_read_back
    shorten_waits()
    install._write_and_read_back = lambda context, node, disk, piece: (
        write(context, node, disk, piece) if piece.name == "partition table" else None
    )


def installed_always() -> None:
    """No node is ever taken for one that runs the micro OS."""
    from bootstrap.phases.install import install

    shorten_waits()
    install.bare = lambda node: lambda world: "it is to be installed again"
    install.disks_written = lambda *_: {}


def founded_everywhere() -> None:
    """A server that has no data of etcd founds a cluster."""
    from bootstrap.phases.etcd import membership as etcd
    from bootstrap.spec.etcd import birth_file, peer_url

    shorten_waits()
    etcd._members_with = lambda context, node, quorum: {node.name: peer_url(node.address)}
    vars(etcd)["birth_file"] = lambda members, state: birth_file(members, state="new")


FAULTS: dict[str, tuple[Callable[[], None], What, Moment]] = {
    "tokens stay": (tokens_stay, What.KILL, ("ActionDone", "s1/join", 0)),
    "the table comes first": (table_first, What.POWER, ("ActionStarted", "a1/install.boot", 0)),
    "installed always": (installed_always, What.KILL, ("ActionDone", "cluster/objects", 0)),
    "founded everywhere": (founded_everywhere, What.KILL, ("ActionDone", "s2/etcd.member", 0)),
}


def main() -> None:
    """Try each fault once."""
    with tempfile.TemporaryDirectory() as folder:
        seen: dict[str, list[str]] = {}
        for number, (name, (fault, what, moment)) in enumerate(FAULTS.items()):
            servers = 3 if "s2" in moment[1] else 1
            place = Path(folder) / str(number)
            place.mkdir()
            seen[name] = list(tried(Ground.prepared(place, Shape(servers, 1)), what, moment, fault).problems)
    sys.stdout.write(json.dumps(seen, indent=1) + "\n")


if __name__ == "__main__":
    main()
