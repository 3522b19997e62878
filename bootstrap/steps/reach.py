"""How the inventory says that a node is reached, and whose host keys are believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bootstrap.errors import Refused
from bootstrap.inventory.model import Inventory, Jump, Node
from bootstrap.pki.sshkeys import fingerprint
from bootstrap.steps.state import LIVE, ClusterState
from bootstrap.transport.base import Transport
from bootstrap.transport.secrets import secret_source
from bootstrap.transport.ssh import open_ssh
from bootstrap.transport.target import SshTarget

Ask = Callable[[str], bool]


def target_of(node: Node, state: ClusterState) -> SshTarget:
    """The way into a node. The cluster's own key is offered beside the inventory's: installed nodes let it in."""
    ssh = node.ssh
    keys = [Path(ssh.key).expanduser()] if ssh.key else []
    if state.ssh_key.public:
        keys.append(state.ssh_key_file)
    return SshTarget(
        node=node.name,
        host=ssh.host or str(node.address),
        port=ssh.port,
        user=ssh.user,
        keys=tuple(keys),
        password=secret_source(ssh.password_from, f"password of {node.name}") if ssh.password_from else None,
        passphrase=secret_source(ssh.passphrase_from, f"passphrase of {ssh.key}") if ssh.passphrase_from else None,
        jumps=tuple(_jump(jump, ssh.use_config) for jump in ssh.jump),
        use_config=ssh.use_config,
    )


def _jump(jump: Jump, use_config: bool) -> SshTarget:
    return SshTarget(
        node=jump.host,
        host=jump.host,
        port=jump.port,
        user=jump.user,
        keys=(Path(jump.key).expanduser(),) if jump.key else (),
        use_config=use_config,
    )


def opener(inventory: Inventory, state: ClusterState, ask: Ask | None) -> Callable[[str], Transport]:
    """What opens the way into a node by its name. `ask` is asked about host keys that nothing is known of; None
    refuses them."""
    host_keys = state.host_keys
    for node in inventory.nodes:
        if node.ssh.host_key and LIVE not in host_keys.pinned(node.name):
            host_keys.pin(node.name, LIVE, node.ssh.host_key)

    def trust(name: str, presented: str, pins: dict[str, str]) -> str | None:
        shown = fingerprint(presented)
        if ask is not None and ask(f"{name} shows host key {shown}. Is it this machine's?"):
            return LIVE
        raise Refused(
            "its host key is not known yet",
            node=name,
            step="connect",
            tried="compare the host key with the pinned ones",
            got=shown,
            hint=f"compare it on the machine's console; then write it into the inventory: host_key: {presented}",
        )

    def open_node(name: str) -> Transport:
        return open_ssh(target_of(inventory.node(name), state), host_keys, trust)

    return open_node
