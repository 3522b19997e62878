"""What each of clusterup's commands does to a simulated machine."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from bootstrap.constants.paths import ETCD_DATA, KEPT_ETC
from bootstrap.constants.ports import API_PORT, ETCD_PEER_PORT
from bootstrap.doctor.node import LOOK as HEALTH
from bootstrap.facts.votes import READ_STORE
from bootstrap.joining import plan as join_by_token
from bootstrap.joining import preflight as join_checks
from bootstrap.operations.node_logs import Wanted, logs_script
from bootstrap.paths import templates_dir
from bootstrap.phases import handover
from bootstrap.phases.deploy import commands as deploy
from bootstrap.phases.install import commands as install_commands
from bootstrap.phases.reset import commands as clean_commands
from bootstrap.protocol.nodes import is_ready
from bootstrap.transport import sudo, upload
from bootstrap.transport.base import Command
from tests.simulator.machines.facts import facts_of
from tests.simulator.machines.kubelet import seen_by, serving
from tests.simulator.machines.machine import Answer
from tests.simulator.machines.node_services import member_on
from tests.simulator.machines.scripts import Known, exactly, known

if TYPE_CHECKING:
    from tests.simulator.machines.node import SimulatedMachine

Does = Callable[["SimulatedMachine", list[str], bytes], Answer]
MIB = 1 << 20
DONE = Answer(0)
# What a machine that is well says of itself to `clusterup doctor`.
WELL = {
    "memory": {"total": 2048 * MIB, "available": 1024 * MIB},
    "killed": 0,
    "filesystems": [],
    "clock_was_set": True,
    "units": [],
    "kernel": [],
    "routes": {"default": True},
    "name_servers": [{"address": "192.0.2.53", "problem": ""}],
    "cluster_names": {"address": "10.96.0.10", "problem": ""},
    "certificates": {},
}
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


def answer_to(machine: SimulatedMachine, script: str, stdin: bytes) -> Answer | None:
    """What a script comes to on a machine; None for one that clusterup has no more, or not yet."""
    for each in _all():
        arguments = each.arguments(script)
        if arguments is not None:
            return each.meaning(machine, arguments, stdin)
    return None


@cache
def _all() -> tuple[Known[Does], ...]:
    facts = (templates_dir() / "node" / "facts.sh").read_text()
    return (
        exactly(sudo.WHO, lambda *_: Answer(0, f"{sudo.SAYS}root\n".encode())),
        exactly(facts, lambda machine, _, stdin: Answer(0, facts_of(machine, stdin))),
        exactly(READ_STORE.script, _stored_members),
        exactly(HEALTH.script, lambda *_: Answer(0, json.dumps(WELL).encode())),
        exactly("uptime", lambda *_: _said([" 10:00:00 up 1 day,  0 user"])),
        exactly(logs_script(Wanted(("kubelet",), 20)), lambda *_: _said(["kubelet[1]: it runs"])),
        exactly(install_commands.running_system().script, _running_system),
        exactly(install_commands.reboot().script, _reboot),
        exactly(clean_commands.clean().script, _clean),
        exactly(clean_commands.system_disk().script, _system_disk),
        exactly(clean_commands.write_no_more().script, lambda *_: DONE),
        known((templates_dir() / "node" / "clean" / "wipe.sh").read_text(), _wipe),
        known(install_commands._PREPARE, _prepare),
        known(install_commands._WRITE, _write),
        known(install_commands._HASH, _hash),
        known(install_commands._RANGE, _range),
        exactly(deploy.put_files().script, _put_files),
        exactly(deploy.start_units().script, _start_units),
        exactly(deploy.would_restart().script, _would_restart),
        exactly(deploy.unit_states().script, _unit_states),
        known(deploy._USE_PAYLOAD, _use_payload),
        known(deploy._SET_ASIDE, _set_aside),
        known(_template(deploy.is_there), _is_there),
        known(_template(deploy.read_certificates), _read_certificates),
        known(_template(deploy.remove_file), _remove),
        known(handover._KEEP, _keep),
        known(join_checks._REACH, _reach),
        known(join_by_token._OWN_NODE, _own_node),
        known(deploy._STOP, _stop),
        known(upload._LOOK, _look),
        known(upload._BEGIN, _begin),
        known(upload._CONTINUE, _continue),
        known(upload._HASH, _hash_file),
        known(upload._PLACE, _place),
        known(upload._MODE, _mode),
    )


def _template(command: Callable[[str], Command]) -> str:
    """The template of a command of one argument that has none of its own."""
    script = command("@path@").script.replace("{", "{{").replace("}", "}}")
    return script.replace("@path@", "{0}")


def _stored_members(machine: SimulatedMachine, _: list[str], __: bytes) -> Answer:
    member = member_on(machine)
    if member is None:
        return Answer(1, stderr=b"No such file or directory\n")
    assert machine.etcd is not None
    cluster = machine.etcd.cluster
    forgotten = cluster.forgotten.get(member.name, set())
    stored = {f"{id:x}": each.learner or id in forgotten for id, each in cluster.members.items()}
    return Answer(0, json.dumps(stored).encode())


def _running_system(machine: SimulatedMachine, _: list[str], __: bytes) -> Answer:
    lines = [machine.boot_id, *([machine.system.configuration, "os"] if machine.system else ["live"])]
    return _said(lines)


def _reboot(machine: SimulatedMachine, _: list[str], __: bytes) -> Answer:
    machine.reboots = True
    return DONE


def _clean(machine: SimulatedMachine, _: list[str], __: bytes) -> Answer:
    machine.systemd.stop_all()
    for path in machine.files.below("/var"):
        machine.files.remove(path)
    machine.link, machine.etcd = None, None
    return DONE


def _system_disk(machine: SimulatedMachine, _: list[str], __: bytes) -> Answer:
    return _said([f"disk {machine.disk.path} {machine.disk.size}", f"start {4 * MIB} clusterup-root"])


def _wipe(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    if not machine.installed or arguments[0] != machine.disk.path:
        machine.site.complain(f"{machine.name}: {arguments[0]} was erased, which it does not run from")
    machine.disk.zero(0, MIB)
    machine.disk.zero(machine.disk.size - MIB, MIB)
    for start in arguments[1].split():
        machine.disk.zero(int(start), MIB)
    machine.systemd.stop_all()
    machine.forget_all()
    machine.has_run_installed = False
    machine.reboots = True
    return DONE


def _prepare(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    _is_its_disk(machine, arguments[0])
    if machine.has_run_installed:
        machine.site.complain(f"{machine.name} is installed again, though it has run the installed system")
    machine.times_installed += 1
    disk = machine.disk
    disk.zero(0, MIB)
    disk.zero(disk.size - MIB, MIB)
    machine.forget_all()
    for offset, size in _pairs(arguments[1]):
        disk.zero(offset, size)
    return DONE


def _write(machine: SimulatedMachine, arguments: list[str], stdin: bytes) -> Answer:
    _is_its_disk(machine, arguments[0])
    machine.disk.write(int(arguments[1]), stdin)
    return DONE


def _hash(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    return _said(hashlib.sha256(machine.disk.read(*pair)).hexdigest() for pair in _pairs(arguments[1]))


def _range(machine: SimulatedMachine, arguments: list[str], stdin: bytes) -> Answer:
    _is_its_disk(machine, arguments[0])
    offset, size = int(arguments[1]), int(arguments[2])
    machine.disk.write(offset, stdin)
    return _said([hashlib.sha256(machine.disk.read(offset, size)).hexdigest()])


def _is_its_disk(machine: SimulatedMachine, path: str) -> None:
    if machine.installed or path != machine.disk.path:
        machine.site.complain(f"{machine.name}: {path} was written to, which it runs from or does not have")


def _put_files(machine: SimulatedMachine, _: list[str], stdin: bytes) -> Answer:
    try:
        with tarfile.open(fileobj=io.BytesIO(stdin)) as archive:
            found = [(f"/{entry.name}", _content(archive, entry), entry.mode) for entry in archive.getmembers()]
    except tarfile.ReadError:
        return Answer(2, stderr=b"tar: Unexpected EOF in archive\n")
    for path, content, mode in found:
        if path.startswith("/etc/"):
            machine.files.write(f"{KEPT_ETC}{path}", content, mode)
        machine.files.write(path, content, mode)
    machine.files.sync()
    return DONE


def _start_units(machine: SimulatedMachine, _: list[str], stdin: bytes) -> Answer:
    names = [name for name, digest in _units(stdin) if _differs(machine, name, digest)]
    for name in names:
        machine.systemd.restart(name)
    machine.site.settle()
    return _said(names)


def _would_restart(machine: SimulatedMachine, _: list[str], stdin: bytes) -> Answer:
    return _said(name for name, digest in _units(stdin) if _differs(machine, name, digest))


def _unit_states(machine: SimulatedMachine, _: list[str], stdin: bytes) -> Answer:
    units = list(_units(stdin))
    for name, _digest in units:
        machine.systemd.start(name)
    machine.site.settle()
    for name, digest in units:
        if _differs(machine, name, digest):
            run = machine.systemd.runs.get(name)
            journal = [run.why_not] if run and run.why_not else []
            return _said([f"unit {name} {machine.systemd.state(name)} {len(journal)}", *journal])
    return DONE


def _differs(machine: SimulatedMachine, name: str, digest: str) -> bool:
    return not machine.systemd.active(name) or machine.systemd.digest(name) != digest


def _use_payload(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    machine.link = arguments[0]
    return DONE if machine.merge() else Answer(1, stderr=f"systemd-sysext did not merge {arguments[0]}\n".encode())


def _set_aside(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    machine.systemd.stop(arguments[0])
    if arguments[1] != ETCD_DATA or machine.etcd is None:
        return Answer(1, stderr=b"mv: cannot stat\n")
    machine.etcd = None
    return DONE


def _is_there(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    path = arguments[0]
    there = machine.etcd is not None if path == f"{ETCD_DATA}/member" else machine.files.get(path) is not None
    return _said(["yes" if there else "no"])


def _read_certificates(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    return Answer(0, b"".join(_CERTIFICATE.findall(machine.files.content(arguments[0]) or b"")))


def _remove(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    machine.files.remove(arguments[0])
    return DONE


def _keep(machine: SimulatedMachine, arguments: list[str], stdin: bytes) -> Answer:
    path, expected = arguments
    if hashlib.sha256(stdin).hexdigest() != expected:
        return Answer(1, stderr=b"what arrived is not what was sent\n")
    machine.files.write(path, stdin, 0o600, synced=True)
    return DONE


def _reach(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    others = machine.site.machines.values()
    serve = {f"{each.address}:{API_PORT}" for each in others if serving(each) is not None}
    serve |= {
        f"{each.address}:{ETCD_PEER_PORT}" for each in others if (peer := member_on(each)) is not None and peer.runs
    }
    return _said(f"{'yes' if place in serve else 'no'} {place}" for place in arguments[0].split())


def _own_node(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    objects = seen_by(machine) if machine.files.content(arguments[1]) else None
    node = objects.get(("Node", "", arguments[2].rpartition("/")[2])) if objects is not None else None
    if node is None:
        return Answer(1, stderr=b"urllib.error.URLError\n")
    return _said(["Ready" if is_ready(node) else "not Ready"])


def _stop(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    for name in arguments[0].split():
        machine.systemd.stop(name)
    machine.site.settle()
    return DONE


def _look(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    path, size = arguments[0], int(arguments[1])
    final, part = machine.files.get(path), machine.files.get(f"{path}.part")
    said = []
    if final is not None and len(final.content) == size:
        said.append(f"file {final.sha256}  -")
    if part is not None:
        said.append(f"part {len(part.content)} {part.sha256}  -")
    return _said(said)


def _begin(machine: SimulatedMachine, arguments: list[str], stdin: bytes) -> Answer:
    machine.files.write(f"{arguments[0]}.part", stdin, 0o600)
    return DONE


def _continue(machine: SimulatedMachine, arguments: list[str], stdin: bytes) -> Answer:
    machine.files.append(f"{arguments[0]}.part", stdin)
    return DONE


def _hash_file(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    found = machine.files.get(f"{arguments[0]}.part")
    return Answer(1, stderr=b"sh: cannot open\n") if found is None else _said([f"{found.sha256}  -"])


def _place(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    path, mode = arguments
    if machine.files.get(f"{path}.part") is None:
        return Answer(1, stderr=b"chmod: cannot access\n")
    machine.files.change_mode(f"{path}.part", int(mode, 8))
    machine.files.sync(f"{path}.part")
    machine.files.rename(f"{path}.part", path)
    return DONE


def _mode(machine: SimulatedMachine, arguments: list[str], _: bytes) -> Answer:
    machine.files.change_mode(arguments[0], int(arguments[1], 8))
    return DONE


def _units(stdin: bytes) -> Iterator[tuple[str, str]]:
    for line in stdin.decode().splitlines():
        name, digest = line.split()
        yield name, digest


def _pairs(text: str) -> Iterable[tuple[int, int]]:
    numbers = [int(word) for word in text.split()]
    return zip(numbers[::2], numbers[1::2], strict=True)


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    handle = archive.extractfile(entry)
    return handle.read() if handle else b""


def _said(lines: Iterable[str]) -> Answer:
    return Answer(0, "".join(f"{line}\n" for line in lines).encode())
