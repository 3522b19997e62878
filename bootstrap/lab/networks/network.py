"""What lies between the machines: a private switch for each segment, the router, the load balancer in front of the API
servers, the registry."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from bootstrap.lab.machines import process
from bootstrap.lab.machines.machine import answers, port_is_free, port_taken
from bootstrap.lab.machines.qemu import LAB_FOLDER, switch_folder
from bootstrap.lab.networks.registry import (
    PROXY_HEAD,
    registry_listener,
    registry_running,
    start_registry,
    stop_registry,
)
from bootstrap.lab.networks.router import router_running, start_router, stop_router
from bootstrap.lab.plan import network_of
from bootstrap.lab.spec import Lab
from bootstrap.lab.tools import ready_tree

Say = Callable[[str], None]

SWITCH_RECORD = "switch.process.json"
BALANCER_RECORD = "haproxy.process.json"
BALANCER_LOG = "haproxy.log"
BALANCER_CONFIGURATION = "haproxy.cfg"


def balancer_configuration(lab: Lab) -> str:
    """HAProxy's configuration: connections pass through whole, and go to servers whose API server is ready."""
    servers = "\n".join(f"    server {server.name} 127.0.0.1:{server.api_port} check" for server in lab.servers)
    registry = "" if lab.registry_port is None else registry_listener(f"127.0.0.1:{lab.registry_port}")
    return f"""\
{PROXY_HEAD}\
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
{registry}"""


def start_network(lab: Lab, say: Say) -> None:
    """Start what lies between the machines, where it does not run.

    Raises Refused where somebody else has a port of it, ClusterupError when something does not start.
    """
    for segment in lab.segment_numbers:
        if not switch_running(lab, segment):
            # It does not connect to a switch a second time.
            stop_router(lab)
            start_switch(lab, segment)
            say("the switch between the machines runs" + (f" ({network_of(segment)})" if lab.segments > 1 else ""))
    if lab.registry_port is not None:
        before = registry_running(lab)
        start_registry(lab)
        if not before:
            say("the registry runs")
    if lab.has_router and not router_running(lab):
        start_router(lab)
        say("the router runs")
    if not balancer_running(lab):
        start_balancer(lab)
        say(f"the load balancer in front of the API servers listens on 127.0.0.1:{lab.endpoint_port}")


def network_running(lab: Lab) -> bool:
    """Whether all that lies between the machines runs."""
    return (
        all(switch_running(lab, segment) for segment in lab.segment_numbers)
        and balancer_running(lab)
        and (registry_running(lab) or lab.registry_port is None)
        and (router_running(lab) or not lab.has_router)
    )


def stop_network(lab: Lab) -> None:
    """End all that lies between the machines, where it runs."""
    process.end(lab.folder / BALANCER_RECORD, signal.SIGTERM)
    stop_router(lab)
    stop_registry(lab)
    for segment in lab.segment_numbers:
        process.end(_switch_record(lab, segment), signal.SIGTERM)


def switch_running(lab: Lab, segment: int = 1) -> bool:
    """Whether the private switch of a segment runs."""
    return process.recorded(_switch_record(lab, segment)) is not None


def start_switch(lab: Lab, segment: int = 1) -> None:
    """Start a segment's private switch where it does not run. Raises ClusterupError when it does not start."""
    if switch_running(lab, segment):
        return
    name = switch_folder(segment)
    control = lab.folder / name
    # It makes its folder itself and takes one that is left over for another switch's.
    for leftover in [*control.glob("*"), lab.folder / f"{name}.mgmt"]:
        leftover.unlink(missing_ok=True)
    argv = ["vde_switch", "--numports", "64", "--sock", f"{LAB_FOLDER}/{name}", "--mode", "0600"]
    _start(lab, argv, f"{name}.process.json", f"{name}.log", (control / "ctl").exists)


def _switch_record(lab: Lab, segment: int) -> Path:
    return lab.folder / f"{switch_folder(segment)}.process.json"


def balancer_running(lab: Lab) -> bool:
    """Whether the load balancer runs."""
    return process.recorded(lab.folder / BALANCER_RECORD) is not None


def start_balancer(lab: Lab) -> None:
    """Start the load balancer where it does not run.

    Raises Refused where its port is taken, ClusterupError when it does not start.
    """
    if balancer_running(lab):
        return
    require_network_ports(lab)
    (lab.folder / BALANCER_CONFIGURATION).write_text(balancer_configuration(lab))
    argv = ["haproxy", "-db", "-f", f"{LAB_FOLDER}/{BALANCER_CONFIGURATION}"]
    _start(lab, argv, BALANCER_RECORD, BALANCER_LOG, lambda: answers(lab.endpoint_port))


def require_network_ports(lab: Lab, own: frozenset[int] = frozenset()) -> None:
    """Raise Refused where somebody else listens on a port that the load balancer needs, but for `own` ports."""
    uses = {lab.endpoint_port: "the load balancer in front of the API servers", lab.registry_port: "the registry"}
    for port, use in uses.items():
        if port is not None and port not in own and not port_is_free(port):
            raise port_taken(lab, port, use)


def _start(lab: Lab, argv: list[str], record: str, log: str, ready: Callable[[], bool]) -> None:
    process.start_in(ready_tree(), argv, folder=lab.folder, record=lab.folder / record, log=lab.folder / log)
    process.wait_ready(argv[0], lab.folder, record, log, ready)
