"""From a bare machine to the micro OS on its disk, and booted from it.

The order makes an interruption harmless at any point: the disk is made bare, everything but the image's first MiB
is written and read back, then the configuration, and the partition table last. A disk without it counts as empty; one
with it is complete, and the next apply only boots from it. Long stretches of zeros are free space of the image's file
systems: the disk is told to zero them itself, and they are not read back. The data is sent unpacked: what the image's
file systems hold is compressed already, and to unpack it once more takes a slow node longer than a wire takes to carry
the sixth that would be saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bootstrap.engine.action import Action, Context
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.disks import described, find_disk
from bootstrap.facts.model import ClusterFacts, DiskFacts
from bootstrap.image.bundle import Artifact, Bundle, Segment
from bootstrap.image.disk.configuration import LABEL, EtcFile, configuration_image, etc_tar
from bootstrap.image.disk.segments import gaps, unpacked_chunks
from bootstrap.inventory.model import Inventory, Node
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.phases.install import commands
from bootstrap.phases.install.console import Send, estimate, send_missing, wait_for_installed
from bootstrap.phases.install.progress import DiskProgress, written
from bootstrap.pki.identity import NodeIdentity

BOOT_SECONDS = 1800.0
PinHostKey = Callable[[str, str], None]


@dataclass(frozen=True)
class Installation:
    """What is to be installed: the bundle, each node's files below /etc and its identity by its name, how the host key
    of an installed system is pinned (`pin(node, public line)`), and each node's console, None where it has none."""

    bundle: Bundle
    etc: Callable[[str], list[EtcFile]]
    identity: Callable[[str], NodeIdentity]
    pin: PinHostKey
    console: Callable[[str], ConsoleTarget | None]

    def configuration(self, node: str) -> str:
        """The SHA-256 of the configuration with which the node is started once it is installed."""
        return hashlib.sha256(etc_tar(self.etc(node))).hexdigest()


def install_actions(
    inventory: Inventory, world: ClusterFacts, installation: Installation, done: Mapping[str, DiskProgress]
) -> list[Action[ClusterFacts]]:
    """The actions that put the micro OS on the disk of each node that does not run it yet, and boot it. `done` says how
    far the disks are that were written before (`disks_written`)."""
    found: list[Action[ClusterFacts]] = []
    for node in inventory.nodes:
        facts = world.nodes.get(node.name)
        disk = find_disk(facts.disks, node.disk or "") if facts else None
        found += _node_actions(node, disk, installation, done.get(node.name))
    return found


def disks_written(
    inventory: Inventory, world: ClusterFacts, installation: Installation, wipe: frozenset[str]
) -> dict[str, DiskProgress]:
    """How far the disks of nodes are that an earlier apply wrote and that don't run the micro OS yet, by node. What was
    started before and may be erased (`wipe`) counts as not written."""
    found: dict[str, DiskProgress] = {}
    for node in inventory.nodes:
        image = image_for(node, installation.bundle)
        facts = world.nodes.get(node.name)
        disk = find_disk(facts.disks, node.disk or "") if facts and facts.kind != "installed" else None
        state = written(disk, image, installation.etc(node.name)) if disk else None
        if state is not None and not (state is DiskProgress.STARTED and node.name in wipe):
            found[node.name] = state
    return found


def image_for(node: Node, bundle: Bundle) -> Artifact:
    """The disk image of a node's architecture. Raises ClusterupError where the bundle has none."""
    return bundle.for_architecture(node.architecture).artifact("os")


def bare(node: Node) -> Callable[[ClusterFacts], str | None]:
    """Why a node has to be installed, or None when it runs the micro OS."""

    def check(world: ClusterFacts) -> str | None:
        facts = world.nodes.get(node.name)
        if facts is None or facts.kind == "installed":
            return None
        running = "our live environment" if facts.kind == "live" else "another system"
        return f"it runs {running}, not the installed micro OS"

    return check


def _nothing(_: ClusterFacts) -> None:
    """A disk that is complete needs nothing."""


def _node_actions(
    node: Node, disk: DiskFacts | None, installation: Installation, done: DiskProgress | None
) -> list[Action[ClusterFacts]]:
    name = node.name
    to_write = bare(node) if done in (None, DiskProgress.TORN) else _nothing
    target = described(disk) if disk else node.disk or "its disk"
    path = disk.path if disk else ""
    version = installation.bundle.version
    image = image_for(node, installation.bundle)
    console = installation.console(name) if node.console.only else None
    over = f", {estimate(console, image.size)}" if console else ""
    return [
        Action(
            id=f"{name}/install.image",
            node=name,
            step="install",
            title=f"write the micro OS {version} to {target}{over}",
            check=to_write,
            erases=target,
            uses=(image.name,),
            apply=lambda context: write_image(
                context, name, path, image, send_missing(console) if console else send_all
            ),
        ),
        Action(
            id=f"{name}/install.configuration",
            node=name,
            step="install",
            title="write its configuration and the partition table",
            check=to_write,
            erases=target,
            apply=lambda context: configure(context, name, path, image, installation),
            needs=(f"{name}/install.image",),
        ),
        Action(
            id=f"{name}/install.boot",
            node=name,
            step="boot",
            title="start the installed system" if to_write is not _nothing else f"start the system on {target}",
            check=bare(node),
            apply=lambda context: (
                boot_over_console(context, name, installation, console)
                if console
                else boot(context, name, installation)
            ),
            needs=(f"{name}/install.configuration",),
        ),
    ]


def send_all(context: Context, node: str, disk: str, image: Artifact, segments: Sequence[Segment]) -> None:
    """Send the segments of the image, each in one stream."""
    total, done = sum(segment.size for segment in segments), 0
    for segment in segments:
        context.on(node).stream(
            commands.write_segment(disk, segment.offset),
            unpacked_chunks(image.content, segment),
            total=segment.size,
            progress=partial(_shifted, context, done, total),
        )
        done += segment.size


def write_image(context: Context, node: str, disk: str, image: Artifact, send: Send = send_all) -> None:
    """Write the image, all but its head, and check it as read back from the disk. Raises ClusterupError."""
    transport = context.on(node)
    head, *rest = _segments(image, node)
    with context.limit("transfer"):
        transport.check(commands.prepare_disk(disk, gaps((head, *rest))), timeout=1800)
        send(context, node, disk, image, rest)
    context.say("reading back")
    ranges = [(segment.offset, segment.size) for segment in rest]
    found = transport.check(commands.hash_image(disk, ranges), timeout=1800).text.split()
    expected = [segment.sha256 for segment in rest]
    if found != expected:
        raise _not_what_was_written(node, disk, " ".join(expected), " ".join(found))


def configure(context: Context, node: str, disk: str, image: Artifact, installation: Installation) -> None:
    """Write the configuration partition, then the image's head with the partition table, and read each back. Raises
    ClusterupError."""
    place = image.partition(LABEL)
    content = configuration_image(installation.etc(node), image=image.sha256, size=place.size)
    _write_and_read_back(context, node, disk, Piece("configuration", place.offset, content))
    head = _segments(image, node)[0]
    table = b"".join(unpacked_chunks(image.content, head))
    if (found := hashlib.sha256(table).hexdigest()) != head.sha256:
        raise _not_what_was_written(node, disk, head.sha256, found)
    _write_and_read_back(context, node, disk, Piece("partition table", 0, table))


@dataclass(frozen=True)
class Piece:
    """Something small that is written in one go: what it is, where it goes (bytes from the disk's start), itself."""

    name: str
    offset: int
    content: bytes


def _write_and_read_back(context: Context, node: str, disk: str, piece: Piece) -> None:
    command = commands.write_range(piece.name, disk, piece.offset, len(piece.content))
    found = context.on(node).check(command, stdin=piece.content, timeout=300).text.strip()
    expected = hashlib.sha256(piece.content).hexdigest()
    if found != expected:
        raise _not_what_was_written(node, disk, expected, found)


def boot(context: Context, node: str, installation: Installation) -> None:
    """Reboot and wait for the installed system, whose host key is known before it is first seen."""
    transport = context.on(node)
    before = transport.check(commands.running_system()).text.split()[0]
    installation.pin(node, installation.identity(node).host_key.public)
    transport.check(commands.reboot())
    expected = installation.configuration(node)

    def started() -> bool:
        answer = context.reopen(node).check(commands.running_system(), timeout=30).text.split()
        if answer[0] == before:
            return False
        if answer[1:] != [expected, "os"]:
            raise ClusterupError(
                "the machine came back with something else than what was installed",
                node=node,
                step="boot",
                tried="look at the running system",
                got=" ".join(answer[1:]) or "no configuration of ours",
                hint="set its firmware to start from the disk it was installed to",
            )
        return True

    context.wait_until(started, what="the installed system", timeout=BOOT_SECONDS, every=2.0)


def boot_over_console(context: Context, node: str, installation: Installation, console: ConsoleTarget) -> None:
    """Reboot a machine that is reached over its console alone, and wait there for the installed system."""
    transport = context.on(node)
    installation.pin(node, installation.identity(node).host_key.public)
    transport.check(commands.reboot())
    context.leave(node)
    wait_for_installed(context, node, console, installation.configuration(node), BOOT_SECONDS)


def not_what_was_installed(world: ClusterFacts, installation: Installation) -> list[ClusterupError]:
    """What speaks against nodes without a network that run the installed system: nothing can be changed there."""
    return [
        Refused(
            "it runs the installed system with another configuration than the inventory's, and has no network to "
            "change it over",
            node=node,
            step="preflight",
            tried="read what its console says",
            got=f"configuration {found}, not {installation.configuration(node)}",
            hint="give it a network, and take console.only out of the inventory; or start it from the live USB stick, "
            "to install it again",
        )
        for node, found in world.on_console.items()
        if found != installation.configuration(node)
    ]


def _segments(image: Artifact, node: str) -> tuple[Segment, ...]:
    if not image.segments or image.segments[0].offset:
        raise ClusterupError(
            "the bundle does not say where the data of its disk image is", node=node, hint="build it again"
        )
    return image.segments


def _shifted(context: Context, before: int, total: int, done: int, _: int) -> None:
    context.progress(before + done, total)


def _not_what_was_written(node: str, disk: str, expected: str, found: str) -> ClusterupError:
    return ClusterupError(
        f"{disk} gives back something else than was written to it",
        node=node,
        step="install",
        tried="read it back and compare SHA-256",
        got=f"{found or 'nothing'}, not {expected}",
        hint="run the command again; when it happens twice, the disk or the memory of this machine is failing",
    )
