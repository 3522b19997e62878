"""What lies between the machines: the private switch, and the load balancer in front of the API servers."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from bootstrap.lab import process
from bootstrap.lab.machine import answers, port_is_free, port_taken
from bootstrap.lab.qemu import LAB_FOLDER
from bootstrap.lab.spec import Lab
from bootstrap.lab.tools import ready_tree

SWITCH_RECORD = "switch.process.json"
SWITCH_LOG = "switch.log"
BALANCER_RECORD = "haproxy.process.json"
BALANCER_LOG = "haproxy.log"
BALANCER_CONFIGURATION = "haproxy.cfg"
START_TIMEOUT = 30.0


def balancer_configuration(lab: Lab) -> str:
    """HAProxy's configuration: connections pass through whole, and go to servers whose API server is ready."""
    servers = "\n".join(f"    server {server.name} 127.0.0.1:{server.api_port} check" for server in lab.servers)
    return f"""\
global
    maxconn 2000
    nbthread 1

defaults
    mode tcp
    log stdout format raw local0 notice
    timeout connect 10s
    # A watch may be silent for long.
    timeout client 2h
    timeout server 2h
    # A server that is slow is better than none.
    timeout check 15s

listen kubernetes
    bind 127.0.0.1:{lab.endpoint_port}
    balance roundrobin
    option httpchk GET /readyz
    # Only which server is asked depends on this check: client and API server still verify each other.
    default-server check-ssl verify none inter 10s fastinter 5s fall 3 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def switch_running(lab: Lab) -> bool:
    """Whether the private switch runs."""
    return process.recorded(lab.folder / SWITCH_RECORD) is not None


def start_switch(lab: Lab) -> None:
    """Start the private switch where it does not run. Raises ClusterupError when it does not start."""
    if switch_running(lab):
        return
    control = lab.folder / "switch"
    # It makes its folder itself and takes one that is left over for another switch's.
    for leftover in [*control.glob("*"), lab.folder / "switch.mgmt"]:
        leftover.unlink(missing_ok=True)
    argv = ["vde_switch", "--numports", "64", "--sock", f"{LAB_FOLDER}/switch", "--mode", "0600"]
    _start(lab, argv, SWITCH_RECORD, SWITCH_LOG)
    _wait(lab, argv[0], SWITCH_RECORD, SWITCH_LOG, (control / "ctl").exists)


def balancer_running(lab: Lab) -> bool:
    """Whether the load balancer runs."""
    return process.recorded(lab.folder / BALANCER_RECORD) is not None


def start_balancer(lab: Lab) -> None:
    """Start the load balancer where it does not run.

    Raises Refused where its port is taken, ClusterupError when it does not start.
    """
    if balancer_running(lab):
        return
    if not port_is_free(lab.endpoint_port):
        raise port_taken(lab, lab.endpoint_port, "the load balancer in front of the API servers")
    (lab.folder / BALANCER_CONFIGURATION).write_text(balancer_configuration(lab))
    argv = ["haproxy", "-db", "-f", f"{LAB_FOLDER}/{BALANCER_CONFIGURATION}"]
    _start(lab, argv, BALANCER_RECORD, BALANCER_LOG)
    _wait(lab, argv[0], BALANCER_RECORD, BALANCER_LOG, lambda: answers(lab.endpoint_port))


def stop_network(lab: Lab) -> None:
    """End switch and load balancer, where they run."""
    process.end(lab.folder / BALANCER_RECORD, signal.SIGTERM)
    process.end(lab.folder / SWITCH_RECORD, signal.SIGTERM)


def _start(lab: Lab, argv: list[str], record: str, log: str) -> None:
    process.start_in(ready_tree(), argv, folder=lab.folder, record=lab.folder / record, log=lab.folder / log)


def _wait(lab: Lab, program: str, record: str, log: str, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + START_TIMEOUT
    while not ready():
        if process.recorded(lab.folder / record) is None or time.monotonic() > until:
            raise process.did_not_start(program, lab.folder / log)
        time.sleep(0.02)
