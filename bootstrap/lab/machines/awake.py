"""Which machines of a lab run, and go on where a command that was killed left them standing still."""

from __future__ import annotations

from collections.abc import Callable

from bootstrap.lab.machines import memory
from bootstrap.lab.machines.machine import machine_running, stop_machine
from bootstrap.lab.spec import Lab

Say = Callable[[str], None]


def awake(lab: Lab, say: Say) -> list[str]:
    """The machines that run. One that a killed command left standing still goes on; one whose memory never came is
    switched off."""
    running = []
    for machine in lab.machines:
        if not machine_running(lab, machine.name):
            continue
        state = memory.run_state(lab, machine.name)
        if state == memory.WAITS_FOR_MEMORY:
            stop_machine(lab, machine.name)
            say(f"{machine.name}: switched off, because its saved memory was not read to the end")
            continue
        if state in memory.STILL:
            memory.resume(lab, machine.name)
            say(f"{machine.name}: goes on; it stood still")
        running.append(machine.name)
    return running
