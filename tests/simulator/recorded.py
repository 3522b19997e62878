"""Machines that say what a machine of the lab says when templates/node/facts.sh runs on it, one bare and one healthy.

What depends on the cluster (files, units and their digests, ids) is made from the node as it should be.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from bootstrap.constants.paths import ETCD_BIRTH, KEPT_ETC, KUBELET_CERTIFICATE
from bootstrap.facts.votes import READ_STORE
from bootstrap.paths import templates_dir
from bootstrap.pki.identity import NodeIdentity
from bootstrap.pki.sshkeys import SshKey
from bootstrap.spec.node import Desired, image_files
from bootstrap.transport.sudo import SAYS
from tests.simulator.machines.machine import Answer

# What no step compares, but has to be there.
SOMETHING = "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456"
_END = "QUESTIONS"
_LIVE = """\
hostname\tclusterup
machine_id\t{machine_id}
boot_id\t0c6a4bb4-9f0f-4e4b-8f8e-6d1b0a1c5f3e
clock\t{clock}
memory\t2014236
cpus\t2
architecture\tx86_64
uefi\tyes
image\tclusterup\tlive\t{version}
interface\tenp0s2\t52:54:00:{mac}\t{address}/24 \n\
disk\t/dev/vda\t8589934592\t{name}\t\t0\t\t\t /dev/disk/by-id/virtio-{name}
"""
_INSTALLED = """\
hostname\t{name}
machine_id\t{machine_id}
boot_id\t7f1d3c52-2a7e-43f7-9d52-5b8a3d0e4c11
clock\t{clock}
memory\t2014236
cpus\t2
architecture\tx86_64
uefi\tyes
image\tclusterup\tos\t{version}
cluster\t{{"cluster": "{cluster}", "id": "{cluster_id}", "node": "{name}", "role": "{role}"}}
configuration\t{configuration}
"""


@dataclass
class Recorded:
    """A machine that is asked for facts and for who is logged in, and for nothing else.

    `about` makes the lines before files and units; `files` maps paths to mode and SHA-256, `units` names to the digest
    that each was started with. `visitors` are the public key lines that root may log in with. `before` is called before
    each answer to a question for facts, with the machine's name; `answered` counts the characters of those answers.
    `contents` are what stands in files that somebody reads.
    """

    name: str
    key: SshKey
    visitors: frozenset[str]
    about: Callable[[], str]
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    ways: Mapping[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    before: Callable[[str], object] = lambda _: None
    answered: int = 0
    contents: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def host_key(self) -> bytes:
        return self.key.private

    def lets_in(self, user: str, public_key_line: str) -> bool:
        return user == "root" and public_key_line in self.visitors

    def run(self, script: str, stdin: bytes) -> Answer:
        if facts_script() in script:
            self.before(self.name)
            answer = self._facts(questions_in(script) or stdin.decode())
            self.answered += len(answer)
            return Answer(0, answer.encode())
        if "base64" in script:
            asked = stdin.decode().splitlines()
            read = (base64.encodebytes(self.contents.get(path, b"")).decode() for path in asked)
            return Answer(0, "".join(f"file {path}\n{text}" for path, text in zip(asked, read, strict=True)).encode())
        if "id -u" in script:
            return Answer(0, f"{SAYS}root\n".encode())
        if "$IMAGE_ID/$VARIANT_ID" in script:
            # It says what it is, and has no handover file.
            return Answer(0, b"clusterup/\n\n")
        if script == READ_STORE.script:
            # Its etcd's data forgets no votes.
            return Answer(0, b"{}")
        raise NotImplementedError(f"{self.name} does not know this script: {script[:200]}")

    def leads_to(self, host: str, port: int) -> tuple[str, int] | None:
        return self.ways.get((host, port))

    def _facts(self, asked: str) -> str:
        questions = [line.partition(" ") for line in asked.splitlines()]
        there = [path for kind, _, path in questions if kind == "file" and path in self.files]
        known = [name for kind, _, name in questions if kind == "unit" and name in self.units]
        lines = [f"file\t{self.files[path][1]}\t{path}\n" for path in there]
        lines += [f"mode\t{self.files[path][0]:o}\t{path}\n" for path in there]
        lines += [f"unit\t{name}\tactive\t41873524\t{self.units[name]}\n" for name in known]
        return "".join((self.about(), *lines, "end\n"))


@lru_cache
def facts_script() -> str:
    """The script that asks for facts."""
    return (templates_dir() / "node" / "facts.sh").read_text()


def with_questions(questions: str) -> str:
    """The script with what is asked for in it, for those who have no way to its standard input."""
    return f"{{\n{facts_script()}}} <<'{_END}'\n{questions}{_END}\n"


def questions_in(script: str) -> str:
    """What is asked for in a script that `with_questions` made; empty in any other one."""
    return script.partition(f"}} <<'{_END}'\n")[2].removesuffix(f"{_END}\n").removesuffix(_END)


def live(name: str, address: str, key: SshKey, visitors: Iterable[str]) -> Recorded:
    """A machine in the live environment, with one empty disk."""
    serial = sum(int(part) << 8 * place for place, part in enumerate(reversed(address.split("."))))
    given = {"name": name, "address": address, "version": "1", "machine_id": f"{serial:032x}"}
    given["mac"] = serial.to_bytes(4, "big").hex(":")[3:]
    return Recorded(name, key, frozenset(visitors), lambda: _LIVE.format(**given, clock=int(time.time())))


def installed(desired: Desired, cluster: str, cluster_id: str, identity: NodeIdentity, visitor: str) -> Recorded:
    """A node on which everything is as wanted; `visitor` is the operator's public key line."""
    node = desired.node
    etc = {file.path: (file.mode, file.sha256) for file in desired.files}
    kept = {f"{KEPT_ETC}{path}": found for path, found in etc.items()}
    images = {path: (0o644, image.sha256) for path, image in image_files(desired.images).items()}
    grown = [KUBELET_CERTIFICATE, *([ETCD_BIRTH] if desired.etcd else [])]
    handover = {file.path: (file.mode, file.sha256) for file in (desired.handover,) if file}
    given = {
        "name": node.name,
        "role": node.role.value,
        "machine_id": identity.machine_id,
        "cluster": cluster,
        "cluster_id": cluster_id,
        "version": "1",
        "configuration": SOMETHING,
    }
    rest = ("etcd_data\tyes\n" if desired.etcd else "") + f"payload\t{desired.payload.sha256}\n"
    rest += f"interface\tenp0s2\t52:54:00:00:00:01\t{node.address}/24 \n"
    return Recorded(
        name=node.name,
        key=identity.host_key,
        visitors=frozenset({visitor}),
        about=lambda: _INSTALLED.format(**given, clock=int(time.time())) + rest,
        files={**etc, **kept, **images, **handover, **dict.fromkeys(grown, (0o600, SOMETHING))},
        units={unit.name: unit.digest for unit in desired.units},
    )
