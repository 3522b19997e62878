"""The clocks of a lab's machines that stood still.

Every clock that is read for a date (certificates, leases of the API, logs) is behind by as long as the machines stood
still. What is measured in time that has passed (etcd's elections, leases of etcd) is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, closing, nullcontext

from bootstrap.connect.console_login import over_console
from bootstrap.connect.console_target import console_target
from bootstrap.connect.ssh import opener
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.inventory.load import parse_inventory
from bootstrap.inventory.model import Inventory
from bootstrap.lab.inventory import inventory_text
from bootstrap.lab.saves.health import Operator
from bootstrap.lab.spec import Lab, Reach
from bootstrap.state.cluster import state_to_look_at
from bootstrap.system_errors import as_error
from bootstrap.transport.base import Command, Transport
from bootstrap.transport.serial.shell.find import ShellPatience

Say = Callable[[str], None]
# A shell on the console of a machine that runs answers at once; emulated ones take some seconds. Seconds of silence.
QUICK = 30.0


def set_clocks(lab: Lab, operator: Operator, running: Collection[str], say: Say) -> None:
    """Set the clocks of the lab's machines that run by this machine's, and say of which that was not possible.

    A machine of the inventory is entered as the inventory says; one that is bare, and not in it or reached over nothing
    but its console, as `lab up` made it: no network is given to it.
    """
    made = parse_inventory(lab.inventory, inventory_text(lab, None, 0).encode())

    def one(name: str) -> ClusterupError | None:
        tried: ClusterupError | None = None
        for enter in _ways(lab, operator, made, name):
            try:
                with enter() as transport:
                    transport.check(Command.of("set the clock", "date -u -s @{} >/dev/null", f"{time.time():.3f}"))
                return None
            except Exception as error:
                tried = as_error(error, node=name, step="lab", tried="set its clock")
        return tried

    names = [machine.name for machine in lab.machines if machine.name in running]
    with asking(len(names), "clocks") as pool:
        for name, error in zip(names, pool.map(one, names), strict=True):
            if error is not None:
                say(f"{name}: its clock is behind, and could not be set: {error.got or error.problem}")


def _ways(
    lab: Lab, operator: Operator, made: Inventory, name: str
) -> Iterator[Callable[[], AbstractContextManager[Transport]]]:
    """What enters a machine, in the order in which it is tried: what the operator has, then what `made` says, the
    inventory as `lab up` writes it."""
    reach, node = lab.machine(name).reach, made.node(name)
    # Nothing is installed before there is a cluster, and what has no network is not waited for.
    if name in operator.names and (reach is Reach.SSH or operator.keys is not None):
        yield lambda: nullcontext(operator.connections.on(name))
    if reach is Reach.SSH:
        yield lambda: closing(opener(made, state_to_look_at(lab.name), None)(name))
    elif (console := console_target(node, lab.name)) is not None:
        yield lambda: closing(over_console(node, console, ShellPatience(silent=QUICK)))
