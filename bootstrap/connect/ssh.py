"""How the inventory says that a node is reached, and whose host keys are believed."""

from __future__ import annotations

from collections.abc import Callable

from bootstrap.errors import Refused
from bootstrap.inventory.model import Inventory, Jump, Node, Ssh
from bootstrap.paths import expanded
from bootstrap.pki.sshkeys import fingerprint
from bootstrap.state.cluster import INSTALLED, LIVE, ClusterState
from bootstrap.transport.base import Transport
from bootstrap.transport.errors import TransportError
from bootstrap.transport.knownhosts import DEFAULT_PORT, is_known
from bootstrap.transport.secrets import secret_source
from bootstrap.transport.ssh import open_ssh, own_jumps
from bootstrap.transport.target import OwnLogin, SshTarget

Ask = Callable[[str], bool]
OpenNode = Callable[[str], Transport]
VOUCH = "then write it into the inventory: host_key: {}"


def target_of(node: Node, own_key: str, state: ClusterState) -> SshTarget:
    """The way into a node: as the inventory says while it is bare, as root with the cluster's own key once it is
    installed. Its host key tells which of the two it is: `own_key` is that of the installed system."""
    ssh = node.ssh
    return SshTarget(
        node=node.name,
        host=ssh.host or str(node.address),
        port=ssh.port,
        user=ssh.user,
        keys=(expanded(ssh.key),) if ssh.key else (),
        own=OwnLogin(own_key, "root", state.ssh_key_file, state.ssh_key.private),
        password=secret_source(ssh.password_from, f"password of {node.name}") if ssh.password_from else None,
        passphrase=secret_source(ssh.passphrase_from, f"passphrase of {ssh.key}") if ssh.passphrase_from else None,
        jumps=tuple(_jump(jump, ssh) for jump in ssh.jump),
        use_config=ssh.use_config,
    )


def _jump(jump: Jump, ssh: Ssh) -> SshTarget:
    passphrase = jump.passphrase_from or (ssh.passphrase_from if jump.key in (None, ssh.key) else None)
    return SshTarget(
        node=jump.host,
        host=jump.host,
        port=jump.port,
        user=jump.user,
        keys=(expanded(jump.key),) if jump.key else (),
        passphrase=secret_source(passphrase, f"passphrase of {jump.key or 'your keys'}") if passphrase else None,
        use_config=ssh.use_config,
        host_key=jump.host_key,
    )


def jump_of(name: str) -> tuple[str, int] | None:
    """Host and port of the jump host whose key is pinned under that name; None for a node's."""
    if not name.startswith("jump:"):
        return None
    host, _, port = name.removeprefix("jump:").rpartition(":")
    return host, int(port)


def place_in_known_hosts(node: Node) -> tuple[str, int]:
    """What a bare node is called in known_hosts: as it is typed for ssh, with the port that the inventory says."""
    return node.ssh.host or str(node.address), node.ssh.port or DEFAULT_PORT


def _vouch_for(name: str, vouch: str) -> str:
    if (jump := jump_of(name)) is None:
        return vouch
    return f"then log in to it once with ssh, or write it below ssh.jump, beside host: {jump[0]}: host_key: {{}}"


def opener(
    inventory: Inventory,
    state: ClusterState,
    ask: Ask | None,
    vouch: str = VOUCH,
) -> OpenNode:
    """What opens the way into a node by its name, over SSH. The host key that clusterup made for its installed system
    is known, and so are those in known_hosts; `ask` is asked about those that nothing is known of, and None refuses
    them. No one is asked about a node that has a console: its key is learned there. `vouch` says where a person writes
    down the key {} that they believe."""
    host_keys = state.host_keys
    nodes = {node.name: node for node in inventory.nodes}
    consoles = {node.name for node in inventory.nodes if node.console.url}
    known = host_keys.all_pinned()
    named = {node.name: node.ssh.host_key for node in inventory.nodes if node.ssh.host_key}
    host_keys.pin_all(LIVE, {name: line for name, line in named.items() if LIVE not in known.get(name, {})})
    # Beside other pins, clusterup's own has to be one of them: no one is asked about a node with pins.
    own = {name: state.identity(name).host_key.public for name in nodes}
    host_keys.pin_all(
        INSTALLED,
        {
            name: line
            for name, line in own.items()
            if (name in known or name in named) and known.get(name, {}).get(INSTALLED) != line
        },
    )

    def trust(name: str, presented: str, pins: dict[str, str]) -> str | None:
        if name in nodes and presented == own[name]:
            return INSTALLED
        jump = jump_of(name)
        where = jump or (place_in_known_hosts(nodes[name]) if name not in consoles else None)
        if where is not None and is_known(*where, presented):
            return LIVE
        shown = f"{presented.split(maxsplit=1)[0]} {fingerprint(presented)}"
        asked = ask if name not in consoles else None
        if asked is not None and asked(f"{name} shows host key {shown}. Is it this machine's?"):
            return LIVE
        whose = "its host key" if jump is None else f"the host key of the jump host {jump[0]}"
        raise Refused(
            f"{whose} is not known yet",
            node=name,
            step="connect",
            tried="compare the host key with the pinned ones",
            got=shown,
            hint=f"compare it on the machine's console; {_vouch_for(name, vouch).format(presented)}",
        )

    jumps = own_jumps()

    def open_node(name: str) -> Transport:
        if nodes[name].console.only:
            raise TransportError(
                "it is reached over its console alone, and has no network yet",
                node=name,
                step="connect",
                got="console.only in the inventory",
                hint="when it has a network, take that out of the inventory, and apply",
            )
        silence = float(nodes[name].ssh.silence)
        return open_ssh(
            target_of(nodes[name], own[name], state), host_keys, trust, connect_timeout=silence, jumps=jumps
        )

    return open_node
