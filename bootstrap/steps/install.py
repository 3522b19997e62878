"""From a bare machine to the micro OS on its disk, and booted from it.

The order makes an interruption harmless at any point: the disk is made bare, everything but the image's first MiB
is written and read back, then the configuration, and the partition table last. A disk without it counts as empty; one
with it is complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap.engine.action import Action, Context
from bootstrap.errors import ClusterupError
from bootstrap.image.bundle import Artifact, Bundle
from bootstrap.image.configuration import EtcFile, configuration_image, etc_tar
from bootstrap.inventory.model import Inventory, Node
from bootstrap.steps import install_commands as commands
from bootstrap.steps.disks import described, find_disk
from bootstrap.steps.identity import NodeIdentity
from bootstrap.steps.world import DiskFacts, World

CHUNK = 256 * 1024
BOOT_SECONDS = 900.0
CONFIGURATION = "CLUSTERUP"
PinHostKey = Callable[[str, str], None]


@dataclass(frozen=True)
class Installation:
    """What is to be installed: the bundle, each node's files below /etc and its identity, and how the host key of an
    installed system is pinned (`pin(node, public line)`)."""

    bundle: Bundle
    etc: Mapping[str, list[EtcFile]]
    identities: Mapping[str, NodeIdentity]
    pin: PinHostKey


def install_actions(inventory: Inventory, world: World, installation: Installation) -> list[Action[World]]:
    """The actions that put the micro OS on the disk of each node that does not run it yet, and boot it."""
    found: list[Action[World]] = []
    for node in inventory.nodes:
        facts = world.nodes.get(node.name)
        disk = find_disk(facts.disks, node.disk or "") if facts else None
        found += _node_actions(node, disk, installation)
    return found


def bare(node: Node) -> Callable[[World], str | None]:
    """Why a node has to be installed, or None when it runs the micro OS."""

    def check(world: World) -> str | None:
        facts = world.nodes.get(node.name)
        if facts is None or facts.kind == "installed":
            return None
        running = "our live environment" if facts.kind == "live" else "another system"
        return f"it runs {running}, not the installed micro OS"

    return check


def _node_actions(node: Node, disk: DiskFacts | None, installation: Installation) -> list[Action[World]]:
    name = node.name
    target = described(disk) if disk else node.disk or "its disk"
    path = disk.path if disk else ""
    version = installation.bundle.version
    return [
        Action(
            id=f"{name}/install.image",
            node=name,
            step="install",
            title=f"write the micro OS {version} to {target}",
            check=bare(node),
            apply=lambda context: write_image(context, name, path, installation.bundle.artifact("os")),
        ),
        Action(
            id=f"{name}/install.configuration",
            node=name,
            step="install",
            title="write its configuration and the partition table",
            check=bare(node),
            apply=lambda context: configure(context, name, path, installation),
            needs=(f"{name}/install.image",),
        ),
        Action(
            id=f"{name}/install.boot",
            node=name,
            step="boot",
            title="start the installed system",
            check=bare(node),
            apply=lambda context: boot(context, name, installation),
            needs=(f"{name}/install.configuration",),
        ),
    ]


def write_image(context: Context, node: str, disk: str, image: Artifact) -> None:
    """Write the image, all but its first MiB, and check it as read back from the disk. Raises ClusterupError."""
    transport = context.on(node)
    raw_size, raw_sha256 = image.raw_size, image.raw_sha256
    if raw_size is None or raw_sha256 is None:
        raise ClusterupError("the bundle does not say what its disk image unpacks to", node=node, hint="build it anew")
    with context.limit("transfer"):
        transport.check(commands.prepare_disk(disk))
        unpack = transport.check(commands.unpacks()).text.strip() == "yes"
        chunks, total = (_chunks(image.file), image.size) if unpack else (_unpacked(image.file), raw_size)
        transport.stream(commands.write_image(disk, unpack=unpack), chunks, total=total, progress=context.progress)
    context.say("reading back")
    found = transport.check(commands.hash_image(disk, raw_size), timeout=1800).text.strip()
    if found != raw_sha256:
        raise _not_what_was_written(node, disk, raw_sha256, found)


def configure(context: Context, node: str, disk: str, installation: Installation) -> None:
    """Write the configuration partition, read it back, then the partition table. Raises ClusterupError."""
    transport = context.on(node)
    place = next(part for part in installation.bundle.artifact("os").partitions if part.label == CONFIGURATION)
    content = configuration_image(installation.etc[node], size=place.size)
    written = transport.check(commands.write_range(disk, place.offset, place.size), stdin=content, timeout=300)
    expected = hashlib.sha256(content).hexdigest()
    if written.text.strip() != expected:
        raise _not_what_was_written(node, disk, expected, written.text.strip())
    transport.check(commands.commit_image(disk), timeout=300)


def boot(context: Context, node: str, installation: Installation) -> None:
    """Reboot and wait for the installed system, whose host key is known before it is first seen."""
    transport = context.on(node)
    before = transport.check(commands.running_system()).text.split()[0]
    installation.pin(node, installation.identities[node].host_key.public)
    transport.check(commands.reboot())
    expected = hashlib.sha256(etc_tar(installation.etc[node])).hexdigest()

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


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as handle:
        while chunk := handle.read(CHUNK):
            yield chunk


def _unpacked(file: Path) -> Iterator[bytes]:
    import zstandard

    with file.open("rb") as handle:
        yield from zstandard.ZstdDecompressor().read_to_iter(handle, write_size=CHUNK)


def _not_what_was_written(node: str, disk: str, expected: str, found: str) -> ClusterupError:
    return ClusterupError(
        f"{disk} gives back something else than was written to it",
        node=node,
        step="install",
        tried="read it back and compare SHA-256",
        got=f"{found or 'nothing'}, not {expected}",
        hint="apply again; when it happens twice, the disk or the memory of this machine is failing",
    )
