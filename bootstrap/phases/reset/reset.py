"""A node loses its part in the cluster: its disk keeps the installed system and nothing else, or nothing at all.

Whatever interrupts the cleaning, it is seen to have begun, and the next one goes on: the first thing to come is a mark,
which is the last to go; then goes what a boot starts. What was started before is gone with the restart at the end, and
the files below /etc with it, by which a node that was not restarted yet is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.constants.paths import CLEANING
from bootstrap.engine.action import Context
from bootstrap.errors import ClusterupError, Interrupted, Refused
from bootstrap.facts.disks import human_size
from bootstrap.facts.model import NodeFacts
from bootstrap.facts.node import Wanted, read_node
from bootstrap.phases.install.commands import reboot, running_system
from bootstrap.phases.install.install import BOOT_SECONDS
from bootstrap.phases.reset import commands
from bootstrap.transport.base import Transport
from bootstrap.transport.errors import TransportError

CLEAN_SECONDS = 1800.0
GONE_SECONDS = 60.0
"""How long a machine whose connection broke while its disk was erased may not answer, to be taken for restarted; how
long one whose disk was erased may take to restart."""


@dataclass(frozen=True, slots=True)
class SystemDisk:
    """The disk that an installed system runs from: `size` in bytes, where its partitions start (bytes) and their
    labels."""

    path: str
    size: int
    starts: tuple[int, ...]
    labels: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path} ({human_size(self.size)}: {', '.join(self.labels) or 'no partitions'})"


def read_system_disk(transport: Transport) -> SystemDisk:
    """The disk that the installed system runs from. Raises ClusterupError where another one runs."""
    return _system_disk_in(transport.check(commands.system_disk()).text)


def is_clean(facts: NodeFacts) -> bool:
    """Whether a node is as an installation leaves it: it runs the installed system, and nothing came to it since."""
    return facts.kind == "installed" and not facts.traces


def half_clean(facts: NodeFacts) -> bool:
    """Whether the cleaning of a node has begun and did not come to its end."""
    return CLEANING in facts.traces


def clean_node(context: Context, node: str) -> None:
    """Stop everything that the cluster runs on a node, remove what it brought, and restart the machine; ends when it is
    back as it was installed. May be interrupted anywhere and begun again.

    Raises ClusterupError where the node does not run the installed system or does not come back clean.
    """
    transport = context.on(node)
    context.say("stopping what runs, and removing what came after the installation")
    before = transport.check(running_system()).text.split()[0]
    transport.check(commands.clean(), timeout=CLEAN_SECONDS)
    transport.check(reboot())

    def restarted() -> bool:
        return context.reopen(node).check(running_system(), timeout=30).text.split()[0] != before

    context.wait_until(restarted, what="the restarted node", timeout=BOOT_SECONDS, every=2.0)
    facts = read_node(context.on(node), Wanted())
    if not is_clean(facts):
        raise ClusterupError(
            "it came back with something else than the clean installed system",
            node=node,
            tried="clean and restart it",
            got=", ".join(facts.traces) or f"it runs the {facts.kind} system",
            hint="run the same command again; when it stays, look at what writes there",
        )


def wipe_node(context: Context, node: str) -> None:
    """Erase the partition tables and the beginnings of the file systems of the disk that a node runs from, and restart
    the machine: it starts from whatever comes next. Asks no one, and waits until the system that ran is gone.

    Raises ClusterupError where the node does not run the installed system, or is still there as it was.
    """
    transport = context.on(node)
    before = transport.check(running_system()).text.split()[0]
    disk = read_system_disk(transport)
    context.say(f"erasing {disk.path}")
    transport.check(commands.write_no_more())
    try:
        transport.check(commands.wipe(disk.path, disk.starts), timeout=300)
    except Interrupted:
        raise
    except TransportError as error:
        _require_gone(context, node, before, error)
    else:
        _await_restart(context, node, before)
    context.leave(node)


def _system_disk_in(said: str) -> SystemDisk:
    first, *rest = (line.split(maxsplit=2) for line in said.splitlines())
    labels = tuple(words[2] for words in rest if len(words) > 2)
    return SystemDisk(first[1], int(first[2]), tuple(int(words[1]) for words in rest), labels)


def _await_restart(context: Context, node: str, boot_id: str) -> None:
    """Until it restarts, a machine answers as if nothing had happened: who goes on at once would talk to that."""

    def gone() -> bool:
        try:
            return not _is_as_before(context, node, boot_id)
        except TransportError:
            return True

    context.wait_until(gone, what="the restart of the machine", timeout=GONE_SECONDS, every=0.5)


def _require_gone(context: Context, node: str, boot_id: str, lost: TransportError) -> None:
    """Raise `lost` when the machine answers as before: the way to it was lost for a moment, and nothing happened."""
    answers = False

    def told() -> bool:
        nonlocal answers
        answers = _is_as_before(context, node, boot_id)
        return True

    try:
        context.wait_until(told, what="what the machine does now", timeout=GONE_SECONDS, every=2.0)
    except Interrupted:
        raise
    except ClusterupError:
        return
    if answers:
        raise lost


def _is_as_before(context: Context, node: str, boot_id: str) -> bool:
    """Whether the machine still runs what it ran. Raises TransportError where nothing answers."""
    try:
        return context.reopen(node).check(running_system(), timeout=30).text.split()[:1] == [boot_id]
    except Refused:
        # Another system with another host key.
        return False
