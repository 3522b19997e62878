"""What the person would type next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from bootstrap.constants.paths import ETCD_PKI


@dataclass(frozen=True, slots=True)
class Person:
    """`inventory` is the file's name, as in the person's own command and fit for a shell."""

    inventory: str

    def applies(self) -> str:
        return f"clusterup apply {self.inventory}"

    def plans(self) -> str:
        return f"clusterup plan {self.inventory}"

    def reads(self, node: str, *units: str) -> str:
        """What a node's services say."""
        return f"clusterup logs {' '.join((node, *units))} -i {self.inventory}"

    def runs(self, node: str, command: str) -> str:
        """A command on a node."""
        return f"clusterup ssh -i {self.inventory} {node} -- {command}"

    def etcdctl(self, node: str, command: str) -> str:
        """A command of etcdctl on a server, to its own member."""
        keys = "--cacert ca.crt --cert server.crt --key server.key --endpoints https://127.0.0.1:2379"
        return self.runs(node, shlex.quote(f"cd {ETCD_PKI} && etcdctl {keys} {command}"))

    def removes(self, node: str) -> str:
        """Take a node out of the cluster."""
        return f"clusterup remove {node} {self.inventory}"
