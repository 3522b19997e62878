"""What the person would type next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from bootstrap.constants.paths import ETCD_PKI

# The revision up to which the history of keys is of no use to anybody.
REVISION = "$($e endpoint status --write-out=fields | sed -n 's/^\"Revision\" : //p')"


@dataclass(frozen=True, slots=True)
class Person:
    """`inventory` is the file's name, as in the person's own command and fit for a shell. Names of nodes, units and
    paths come from outside, and are quoted."""

    inventory: str

    def applies(self) -> str:
        return f"clusterup apply {self.inventory}"

    def plans(self) -> str:
        return f"clusterup plan {self.inventory}"

    def reads(self, node: str, *units: str) -> str:
        """What a node's services say."""
        return f"clusterup logs {shlex.join((node, *units))} -i {self.inventory}"

    def runs(self, node: str, *command: str) -> str:
        """A command on a node; one word alone is a line for its shell."""
        return f"clusterup ssh -i {self.inventory} {shlex.quote(node)} -- {shlex.join(command)}"

    def frees_etcd(self, node: str) -> str:
        """Let etcd on a server forget the history of its keys, give room back, and take writes again."""
        keys = "--cacert ca.crt --cert server.crt --key server.key --endpoints https://127.0.0.1:2379"
        line = f'cd {ETCD_PKI} && e="etcdctl {keys}" && $e compact {REVISION}; $e defrag && $e alarm disarm'
        return self.runs(node, line)

    def removes(self, node: str) -> str:
        """Take a node out of the cluster."""
        return f"clusterup remove {shlex.quote(node)} {self.inventory}"
