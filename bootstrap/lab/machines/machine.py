"""A lab's machines as processes: power on, power cut, reset."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from bootstrap.errors import ClusterupError, Refused
from bootstrap.lab.machines import process
from bootstrap.lab.machines.qemu import CONSOLE_LOG, CONSOLE_SOCKET, QMP_SOCKET, WIRE_SOCKET, machine_argv
from bootstrap.lab.machines.qmp import qmp
from bootstrap.lab.spec import Lab, LabMachine
from bootstrap.lab.tools import machine_tree
from bootstrap.transport.serial.text import last_lines, plain_text

RECORD = "process.json"
QEMU_LOG = "qemu.log"
# QEMU answers within a second; a machine that swaps gets more.
START_TIMEOUT = 60.0
# What a guest that died can do to its virtual machine.
STOPPED = frozenset({"internal-error", "guest-panicked", "io-error"})


def machine_folder(lab: Lab, node: str) -> Path:
    """Where a machine's disk, stick, sockets and logs are. Raises BadUse where the lab has no such machine."""
    return lab.folder / lab.machine(node).name


def machine_running(lab: Lab, node: str) -> bool:
    """Whether the machine's QEMU runs."""
    return process.recorded(machine_folder(lab, node) / RECORD) is not None


def start_machine(lab: Lab, node: str, options: Sequence[str] = ()) -> None:
    """Switch a machine on, with further `options` of QEMU for this once. One that runs is left alone.

    Raises Refused where somebody else has one of its ports, ClusterupError where QEMU does not start.
    """
    if machine_running(lab, node):
        return
    folder = machine_folder(lab, node)
    require_ports(lab, lab.machine(node))
    for name in (CONSOLE_SOCKET, WIRE_SOCKET, QMP_SOCKET):
        (folder / name).unlink(missing_ok=True)
    argv = [*machine_argv(lab, lab.machine(node)), *options]
    tree = machine_tree(lab.machine(node).arch, lambda _: None)
    process.start_in(tree, argv, folder=lab.folder, record=folder / RECORD, log=folder / QEMU_LOG)
    wait_for_qemu(folder, node)


def wait_for_qemu(folder: Path, node: str) -> None:
    """Return when the QEMU in `folder` answers. Raises ClusterupError, with its last words, where it ended."""
    until = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with qmp(folder / QMP_SOCKET):
                return
        except OSError as error:
            if process.recorded(folder / RECORD) is None:
                raise _failed(node, folder, "it ended at once") from None
            if time.monotonic() > until:
                raise _failed(node, folder, f"no answer within {START_TIMEOUT:.0f} s: {error}") from None
            time.sleep(0.05)


def _failed(node: str, folder: Path, what: str) -> ClusterupError:
    return ClusterupError(
        "QEMU did not start",
        node=node,
        step="lab",
        tried=what,
        got=last_lines(folder / QEMU_LOG, 4) or "no word",
        hint=f"see {folder / QEMU_LOG}; then run clusterup lab up again",
    )


def stop_machine(lab: Lab, node: str) -> bool:
    """Cut a machine's power: nothing in it gets to finish. False where it was off."""
    folder = machine_folder(lab, node)
    stopped = process.end(folder / RECORD, signal.SIGKILL)
    for name in (CONSOLE_SOCKET, QMP_SOCKET):
        (folder / name).unlink(missing_ok=True)
    return stopped


def reset_machine(lab: Lab, node: str) -> None:
    """Press a machine's reset button. Raises OSError where it does not run."""
    with qmp(machine_folder(lab, node) / QMP_SOCKET) as session:
        status = session.execute("query-status")["status"]
        session.execute("system_reset")
        if status in STOPPED:
            session.execute("cont")


def console_size(lab: Lab, node: str) -> int:
    """How many bytes the machine's console log has."""
    try:
        return (machine_folder(lab, node) / CONSOLE_LOG).stat().st_size
    except FileNotFoundError:
        return 0


def console_text(lab: Lab, node: str, start: int) -> str:
    """What the machine wrote to its console from byte `start` of the log on, without control sequences."""
    try:
        with (machine_folder(lab, node) / CONSOLE_LOG).open("rb") as handle:
            handle.seek(start, os.SEEK_SET)
            return plain_text(handle.read().decode(errors="replace"))
    except FileNotFoundError:
        return ""


def port_is_free(port: int) -> bool:
    """Whether no one listens on that port of 127.0.0.1."""
    with socket.socket() as probe:
        # As QEMU and HAProxy do: connections that ended a moment ago don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether somebody accepts connections on that port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def require_ports(lab: Lab, machine: LabMachine, own: frozenset[int] = frozenset()) -> None:
    """Raise Refused where somebody else listens on a port that the machine needs, but for `own` ports."""
    uses = {machine.ssh_port: "SSH", machine.api_port: "API server"}
    for port in machine.ports:
        if port not in own and not port_is_free(port):
            raise port_taken(lab, port, f"{machine.name}'s {uses[port]}")


def port_taken(lab: Lab, port: int, use: str) -> Refused:
    """The refusal where somebody else has a port of the lab's."""
    return Refused(
        f"port {port} of 127.0.0.1 is taken, and {use} needs it",
        step="lab",
        tried="listen on it",
        got="another program listens there",
        hint=f"end that program (ss -ltnp 'sport = :{port}' names it). A lab keeps its ports: another one gets others, "
        f"after clusterup lab down --name {lab.name}",
    )
