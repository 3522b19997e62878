"""A USB stick for one machine: it installs itself from it, with no one watching, and joins a cluster with a token.

The stick is the bundle's live environment with one more partition, which holds the disk image as it is in the bundle
and behind it the configuration partition of the installed system; what the machine does with both is
bootstrap/node/install.py. The token lies on the stick, and on the machine's disk afterwards, until it ends.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.host.programs import MissingPrograms, found
from bootstrap.image.bundle import Artifact
from bootstrap.image.disk.configuration import LABEL, EtcFile, configuration_image
from bootstrap.image.disk.copying import copy_image
from bootstrap.image.disk.gpt import read_gpt
from bootstrap.image.disk.segments import HEAD, unpacked_chunks
from bootstrap.image.signing import check_signed
from bootstrap.joining.node import Joining, installation_for
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.protocol.certificate import certificates_in, pin_of
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.spec.topology import is_loopback

MIB = 1 << 20
INSTALL = "clusterup-install"
# Microsoft's basic data, as the stick's own configuration partition is: no other system makes more of it.
TYPE = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
STEP = "stick"


@dataclass(frozen=True)
class StickRequest:
    """The disk of the machine, as in an inventory, and whether what is on it may go."""

    disk: str
    wipe: bool


def write_join_stick(joining: Joining, wishes: StickRequest, target: Path) -> None:
    """Make the stick's image at `target`, mode 0600, in place of what is there. Raises ClusterupError."""
    live, image = joining.bundle.artifact("live"), joining.bundle.artifact("os")
    check_signed(joining.bundle, joining.description.trusted_keys, ["live", "os"])
    place = image.partition(LABEL)
    configuration = configuration_image(_installed_etc(joining), image=image.sha256, size=place.size)
    partition = uuid.uuid4()
    order = {
        "disk": wishes.disk,
        "wipe": wishes.wipe,
        "partition": str(partition),
        "image_size": image.size,
        "raw_size": image.raw_size or image.size,
        "sha256": installed_sha256(image, configuration, place.offset),
        "configuration_offset": image.size,
        "configuration_size": len(configuration),
        "configuration_at": place.offset,
    }
    new = target.with_name(f".{target.name}.new")
    try:
        copy_image(live.content, new)
        at = with_partition(new, partition, image.size + len(configuration))
        own = live.partition(LABEL)
        with new.open("r+b") as stick, image.content.open() as source:
            stick.seek(own.offset)
            stick.write(configuration_image(_live_etc(order), image=live.sha256, size=own.size))
            stick.seek(at)
            shutil.copyfileobj(source, stick, MIB)
            stick.write(configuration)
        new.rename(target)
    except OSError as error:
        raise ClusterupError(
            f"{target} can't be written",
            step=STEP,
            got=error.strerror or str(error),
            hint="name another file with --out",
        ) from None
    finally:
        new.unlink(missing_ok=True)


def installed_sha256(image: Artifact, configuration: bytes, at: int) -> str:
    """SHA-256 of the disk from its second MiB to the image's end once the image is on it, with `configuration` at the
    offset `at`. Raises OSError."""
    digest, position = hashlib.sha256(), HEAD
    size = image.raw_size or image.size
    for offset, data in (*_data(image), (size, b"")):
        if offset < HEAD:
            continue
        while position < offset:
            zeros = bytes(min(offset - position, MIB))
            digest.update(_over(zeros, position, configuration, at))
            position += len(zeros)
        digest.update(_over(data, position, configuration, at))
        position += len(data)
    return digest.hexdigest()


def _data(image: Artifact) -> Iterator[tuple[int, bytes]]:
    for segment in image.segments:
        offset = segment.offset
        for data in unpacked_chunks(image.content, segment):
            yield offset, data
            offset += len(data)


def _over(data: bytes, position: int, configuration: bytes, at: int) -> bytes:
    """`data`, which begins at `position`, with as much of the configuration in it as lies there."""
    begin, end = max(position, at), min(position + len(data), at + len(configuration))
    if begin >= end:
        return data
    return data[: begin - position] + configuration[begin - at : end - at] + data[end - position :]


def _installed_etc(joining: Joining) -> list[EtcFile]:
    settings = {
        "servers": [str(server) for server in _servers(joining)],
        "token": joining.token.reveal(),
        "pins": [pin_of(der) for der in certificates_in(joining.cluster.ca_pem.decode())],
        "name": joining.node.name,
        "address": str(joining.node.address),
    }
    own = EtcFile("clusterup/join.json", (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode(), 0o600)
    return [*installation_for(joining).etc(joining.node.name), own]


def _servers(joining: Joining) -> tuple[ServerUrl, ...]:
    """Where the machine asks, one after the other: where it was asked here, if that can be the same there, and the
    servers themselves."""
    given = joining.cluster.server
    servers = [ServerUrl(str(address)) for address in joining.description.servers.values()]
    return tuple(dict.fromkeys(servers if is_loopback(given.host) else [given, *servers]))


def _live_etc(order: dict[str, object]) -> list[EtcFile]:
    host_key = new_ssh_key()
    return [
        EtcFile("machine-id", f"{secrets.token_hex(16)}\n".encode(), 0o444),
        EtcFile("ssh/ssh_host_ed25519_key", host_key.private, 0o600),
        EtcFile("ssh/ssh_host_ed25519_key.pub", f"{host_key.public}\n".encode()),
        EtcFile("clusterup/install.json", (json.dumps(order, indent=1, sort_keys=True) + "\n").encode(), 0o600),
    ]


def with_partition(image: Path, partition: uuid.UUID, size: int) -> int:
    """Make a disk image with a GUID partition table longer by a partition of at least `size` bytes; returns where that
    begins, in bytes. Raises ClusterupError."""
    program = found("sfdisk")
    if program is None:
        raise MissingPrograms(["sfdisk"], STEP)
    with image.open("r+b") as handle:
        # Room for the backup of the table, and for the partition to begin at a whole MiB.
        handle.truncate(image.stat().st_size + (size + 3 * MIB) // MIB * MIB)
    line = f"size={(size + MIB - 1) // MIB}MiB, type={TYPE}, uuid={partition}, name={INSTALL}\n"
    for argv, text in (
        (["--no-reread", "--no-tell-kernel", "--relocate", "gpt-bak-std", str(image)], ""),
        (["--no-reread", "--no-tell-kernel", "--append", "--quiet", str(image)], line),
    ):
        done = subprocess.run([program, *argv], input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterupError(
                "the stick's partition can't be made",
                step=STEP,
                tried=f"sfdisk {argv[2]}",
                got=done.stderr.strip()[-300:],
                hint="build the live image again: clusterup image build",
            )
    return next(found.offset for found in read_gpt(image) if found.uuid == partition)
