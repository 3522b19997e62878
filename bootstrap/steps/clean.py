"""A node loses its part in the cluster: its disk keeps the installed system and nothing else, or nothing at all.

Whatever interrupts the cleaning, it is seen to have begun, and the next one goes on: the first thing to come is a mark,
which is the last to go; then goes what a boot starts. What was started before is gone with the restart at the end, and
the files below /etc with it, by which a node that was not restarted yet is known.
"""

from __future__ import annotations

from bootstrap.engine.action import Context
from bootstrap.errors import ClusterupError
from bootstrap.steps import clean_commands as commands
from bootstrap.steps.facts import Wanted, read_node
from bootstrap.steps.install import BOOT_SECONDS
from bootstrap.steps.install_commands import reboot, running_system
from bootstrap.steps.world import NodeFacts
from bootstrap.transport.errors import TransportError

CLEAN_SECONDS = 1800.0


def is_clean(facts: NodeFacts) -> bool:
    """Whether a node is as an installation leaves it: it runs the installed system, and nothing came to it since."""
    return facts.kind == "installed" and not facts.traces


def half_clean(facts: NodeFacts) -> bool:
    """Whether the cleaning of a node has begun and did not come to its end."""
    return commands.CLEANING in facts.traces


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
    the machine: it starts from whatever comes next. Asks nobody. The connection is lost then, as it should be.

    Raises ClusterupError where the node does not run the installed system, or is still there as it was.
    """
    transport = context.on(node)
    before = transport.check(running_system()).text.split()[0]
    disk, starts = system_disk_in(transport.check(commands.system_disk()).text)
    context.say(f"erasing {disk}")
    transport.check(commands.write_no_more())
    try:
        transport.check(commands.wipe(disk, starts), timeout=300)
    except TransportError:
        if _still_runs(context, node, before):
            raise
    context.leave(node)


def system_disk_in(said: str) -> tuple[str, list[int]]:
    """The device, and where its partitions start (bytes), in the answer to `clean_commands.system_disk`."""
    lines = [line.split() for line in said.splitlines()]
    device = next(words[1] for words in lines if words[0] == "disk")
    return device, [int(words[1]) for words in lines if words[0] == "start"]


def _still_runs(context: Context, node: str, boot_id: str) -> bool:
    """Whether the machine answers as before: the way to it was lost, and nothing happened to it."""
    try:
        return context.reopen(node).check(running_system(), timeout=30).text.split()[:1] == [boot_id]
    except ClusterupError:
        return False
