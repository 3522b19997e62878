"""Waiting until the machines of a lab can be reached, and helping those whose kernel died on the way."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bootstrap.errors import ClusterupError
from bootstrap.lab.machines import machine as power
from bootstrap.lab.machines.qemu import CONSOLE_LOG
from bootstrap.lab.spec import Lab, Reach
from bootstrap.transport.serial.text import last_lines

Say = Callable[[str], None]

# Three emulated machines on two busy cores take two to three minutes.
TIMEOUT = 600.0
# A kernel that reports trouble may still get through it; seconds without SSH after which it is taken for dead.
GRACE = 30.0
RESETS = 3
SAY_EVERY = 20.0
# A soft lockup is what a busy host looks like from inside; the kernel goes on.
DEATH = re.compile(r"^.*(?:Kernel panic|Oops:|int3:|\bBUG: (?!soft lockup)).*$", re.MULTILINE)
FIRMWARE = "BdsDxe: starting"
# The live environment's shell, or the installed system's prompt (templates/image).
CONSOLE_READY = re.compile(r"^(?:A root shell of the live environment|Configuration: )", re.MULTILINE)


def death_in(console: str) -> str | None:
    """The line of a console that says that the kernel died, or None. One that started again since is alive."""
    found = DEATH.search(console.rpartition(FIRMWARE)[2])
    return found.group().strip() if found else None


def ssh_banner(port: int, timeout: float = 5.0) -> bool:
    """Whether an SSH server says its name on that port of 127.0.0.1 within `timeout` seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            # QEMU accepts at once, on behalf of a guest that may not be listening yet.
            return connection.recv(64).startswith(b"SSH-")
    except OSError:
        return False


@dataclass
class _Waiting:
    """What is known of a machine that does not answer yet."""

    console_from: int
    died: float | None = None
    resets: int = 0


@dataclass
class _Progress:
    say: Say
    began: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> int:
        return round(time.monotonic() - self.began)


def wait_until_reached(
    lab: Lab,
    nodes: Iterable[str],
    console_from: dict[str, int],
    *,
    say: Say,
    timeout: float = TIMEOUT,
    grace: float = GRACE,
) -> None:
    """Return when all `nodes` can be reached: over SSH, or over the console where that is the way into a machine.

    `console_from` is the size that each machine's console log had when it was started. A machine whose kernel
    died, and which has no SSH for `grace` seconds after, is reset, three times at most. Raises ClusterupError
    with the consoles' last lines after `timeout` seconds, or when a QEMU ended.
    """
    waiting = {node: _Waiting(console_from.get(node, 0)) for node in nodes}
    progress = _Progress(say)
    while waiting:
        for node, answered in _answers(lab, waiting).items():
            if answered:
                del waiting[node]
                say(f"{node}: {answered} after {progress.seconds} s")
            else:
                _look_after(lab, node, waiting[node], progress, grace)
        if waiting and progress.seconds > timeout:
            raise _too_late(lab, tuple(waiting), timeout)
        if waiting and time.monotonic() - progress.said > SAY_EVERY:
            progress.said = time.monotonic()
            say(f"waiting for {', '.join(waiting)} ({progress.seconds} s)")
        if waiting:
            time.sleep(0.2)


def _answers(lab: Lab, waiting: Mapping[str, _Waiting]) -> dict[str, str]:
    """What answers on each of the machines, empty where nothing does. A busy one takes seconds to, so all are asked at
    once."""

    def ask(node: str) -> str:
        machine = lab.machine(node)
        if machine.reach is not Reach.NO_CARD and ssh_banner(machine.ssh_port):
            return "SSH answers"
        if machine.reach is Reach.SSH:
            return ""
        said = power.console_text(lab, node, waiting[node].console_from)
        return "its console is ready" if CONSOLE_READY.search(said.rpartition(FIRMWARE)[2]) else ""

    with ThreadPoolExecutor(len(waiting)) as pool:
        return dict(zip(waiting, pool.map(ask, tuple(waiting)), strict=True))


def _look_after(lab: Lab, node: str, state: _Waiting, progress: _Progress, grace: float) -> None:
    """Reset a machine whose kernel died. Raises ClusterupError when its QEMU ended or it died too often."""
    if not power.machine_running(lab, node):
        folder = power.machine_folder(lab, node)
        raise ClusterupError(
            "its QEMU ended",
            node=node,
            step="lab up",
            tried="wait until it can be reached",
            got=last_lines(folder / power.QEMU_LOG, 4) or "no word",
            hint="run clusterup lab up again to start it again",
        )
    sign = death_in(power.console_text(lab, node, state.console_from))
    if sign is None:
        return
    now = time.monotonic()
    if state.died is None:
        state.died = now
    if now - state.died < grace:
        return
    if state.resets == RESETS:
        raise ClusterupError(
            f"its kernel died {RESETS + 1} times",
            node=node,
            step="lab up",
            tried=f"reset it {RESETS} times",
            got=sign,
            hint=f"read its console: clusterup lab console {node} --name {lab.name}",
        )
    state.resets += 1
    state.died = None
    state.console_from = power.console_size(lab, node)
    progress.say(f"{node}: its kernel died ({sign}); it is reset, {state.resets} of {RESETS}")
    try:
        power.reset_machine(lab, node)
    except OSError:
        # It ended in this moment; the next look says so.
        return


def _too_late(lab: Lab, nodes: tuple[str, ...], timeout: float) -> ClusterupError:
    consoles = [f"{node}: {last_lines(lab.folder / node / CONSOLE_LOG, 2) or 'nothing yet'}" for node in nodes]
    return ClusterupError(
        f"{', '.join(nodes)} can't be reached after {timeout:.0f} s",
        step="lab up",
        tried="wait for the live environment, or the installed system, to boot",
        got=" | ".join(consoles),
        hint=f"the machines go on booting: look with clusterup lab console {nodes[0]} --name {lab.name}, "
        "and run clusterup lab up again",
    )
