"""Getting into nodes that have a console: over SSH where that works, else over the console, which gives them a network.

A console is believed: whoever holds its line holds the machine. A host key that is learned there is pinned, in the
place of one that an earlier live environment had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING

from bootstrap.connect.console_network import Networked, give_network
from bootstrap.connect.console_target import INSTALLED, Heard, console_log, console_patience, console_target
from bootstrap.connect.ssh import OpenNode
from bootstrap.errors import ClusterupError, Refused
from bootstrap.inventory.model import Inventory, Node
from bootstrap.inventory.serial_target import CarrierKind, ConsoleTarget
from bootstrap.state.cluster import LIVE, ClusterState
from bootstrap.transport.base import Transport
from bootstrap.transport.errors import AuthenticationFailed, TransportError
from bootstrap.transport.serial.errors import STEP, ConsoleFailed, ConsoleLoginFailed
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.line.log import tail_of
from bootstrap.transport.serial.line.open import open_line
from bootstrap.transport.serial.protocol.encodings import Encoding
from bootstrap.transport.serial.shell.find import ShellPatience

if TYPE_CHECKING:
    from bootstrap.transport.serial.transport import SerialTransport

SSH_SECONDS = 60.0
"""Seconds that the SSH server of a machine with a new network may take to answer."""
QUICK_SECONDS = 20.0
"""Seconds of silence after which no one is taken to be there, on the console of a node that was installed before."""
LAST_LINES = 8
Say = Callable[[str, str], None]
"""Told (node, what happens)."""


class RunsInstalled(ConsoleLoginFailed):
    """The console shows our installed system, where no one logs in; `configuration` is the SHA-256 of what it was
    started with, or in words why it has none."""

    def __init__(self, target: ConsoleTarget, configuration: str) -> None:
        super().__init__(
            "it runs the installed micro OS, which no one logs in to over its console",
            node=target.node,
            step=STEP,
            tried=f"a shell on {target.described}",
            got=f"a login prompt; its configuration is {configuration}",
            hint="reach it over SSH: look at its network; or start it from the live USB stick to install it again",
        )
        self.configuration = configuration


def over_console(node: Node, target: ConsoleTarget, patience: ShellPatience) -> SerialTransport:
    """The way into a node over its console; it logs out when it is closed. Raises as `line_with_shell` does, and
    TransportError when the shell there is of no use."""
    from bootstrap.transport.serial.shell.root import leave_root_shell
    from bootstrap.transport.serial.transport import SerialTransport

    # A program in between may take bytes for itself.
    safe = target.carrier.kind is not CarrierKind.COMMAND
    return SerialTransport(
        node.name,
        partial(line_with_shell, target, patience),
        patience=float(node.console.silence),
        encodings=tuple(Encoding) if safe else (Encoding.BASE64, Encoding.OCTAL),
        log_out=partial(leave_root_shell, target=target),
    )


def line_with_shell(target: ConsoleTarget, patience: ShellPatience) -> Line:
    """The line to a node's console with a root shell on it. Raises RunsInstalled, ConsoleFailed, LineInUse, LineLost
    or BadUse."""
    from bootstrap.transport.serial.shell.root import enter_root_shell

    line = open_line(target, "getting in")
    heard = Heard(line)
    try:
        enter_root_shell(heard, target, patience)
    except ConsoleFailed as error:
        line.close()
        found = INSTALLED.findall(heard.text)
        if found:
            raise RunsInstalled(target, found[-1]) from error
        raise
    except BaseException:
        line.close()
        raise
    return line


class ConsoleEntry:
    """Opens nodes; those that have a console also over it. `over_ssh` opens one over SSH, and refuses a host key that
    is not known; `say` is told (node, what happens). `entered` are nodes that were entered over SSH before.

    A node that was entered over SSH once is entered so ever after: when it is away later, it is starting again, and
    no one types into that.
    """

    def __init__(
        self, inventory: Inventory, state: ClusterState, over_ssh: OpenNode, say: Say, entered: Iterable[str] = ()
    ) -> None:
        self._inventory = inventory
        self._state = state
        self._over_ssh = over_ssh
        self._say = say
        self._entered = set(entered)

    def open(self, name: str) -> Transport:
        """The way into the node. Raises TransportError or Refused that say what SSH and the console each answered."""
        node = self._inventory.node(name)
        target = console_target(node, self._inventory.cluster.name)
        if target is None or name in self._entered:
            return self._over_ssh(name)
        if node.console.only:
            self._say(name, f"over its console, {target.described}")
            return over_console(node, target, console_patience(node))
        try:
            way = self._over_ssh(name)
        except (TransportError, Refused) as error:
            self._say(name, f"not over SSH ({error.problem}); over its console, {target.described}")
            way = self._through_console(node, target, error)
        self._entered.add(name)
        return way

    def _through_console(self, node: Node, target: ConsoleTarget, ssh: ClusterupError) -> Transport:
        try:
            with closing(over_console(node, target, self._patience(node))) as way:
                found = give_network(way, node, self._state.ssh_key.public)
        except ClusterupError as error:
            raise _neither(ssh, error) from None
        self._state.host_keys.pin(node.name, LIVE, found.host_key)
        self._say(node.name, f"has its network ({found.words}); its host key is known from its console")
        return self._soon(node.name, found)

    def _patience(self, node: Node) -> ShellPatience:
        """A node that was installed is silent when it is off; a shell on a machine that is to be installed again
        answers at once."""
        usual = console_patience(node)
        return ShellPatience(silent=min(usual.silent, QUICK_SECONDS)) if self._state.was_installed(node.name) else usual

    def _soon(self, node: str, found: Networked) -> Transport:
        """Over SSH, as soon as its server answers."""
        end = monotonic() + SSH_SECONDS
        while True:
            try:
                return self._over_ssh(node)
            except TransportError as error:
                if isinstance(error, AuthenticationFailed) or monotonic() > end:
                    error.got = f"{error.got or error.problem}; over its console it says that it has {found.words}"
                    error.hint = f"see that this machine reaches one of these, and name it: ssh.host; {error.hint}"
                    raise
            sleep(1.0)


def _neither(ssh: ClusterupError, console: ClusterupError) -> ClusterupError:
    """What SSH said, and what the console said after that."""
    ssh.tried = "; then ".join(tried for tried in (ssh.tried, console.tried) if tried)
    found = f"{console.problem} ({console.got})" if console.got else console.problem
    ssh.got = f"{ssh.got or 'no way in'}; on its console: {found}"
    ssh.hint = f"{console.hint}; or, for SSH: {ssh.hint}"
    return ssh


def with_consoles(inventory: Inventory, state: ClusterState, say: Say) -> Callable[[OpenNode], OpenNode]:
    """Makes of what opens nodes over SSH what opens them over their consoles too, for a first look at them."""
    return lambda over_ssh: ConsoleEntry(inventory, state, over_ssh, say).open


def with_last_words(inventory: Inventory, state: ClusterState, say: Say) -> Callable[[OpenNode], OpenNode]:
    """The same for a run, in which a node with a network is only looked for over SSH: where that fails, the last lines
    of its console are said too."""
    networked = [node.name for node in inventory.nodes if not node.console.only]
    logs = {node.name: console_log(inventory.cluster.name, node.name) for node in inventory.nodes if node.console.url}

    def through(over_ssh: OpenNode) -> OpenNode:
        open_node = ConsoleEntry(inventory, state, over_ssh, say, networked).open

        def opened(name: str) -> Transport:
            try:
                return open_node(name)
            except TransportError as error:
                if said := tail_of(logs[name], LAST_LINES) if name in logs else "":
                    shown = "".join(f"\n  {line}" for line in said.split("\n"))
                    error.got = f"{error.got or error.problem}\nthe last lines of its console ({logs[name]}):{shown}"
                raise

        return opened

    return through
