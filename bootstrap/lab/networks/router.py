"""The router between a lab's segments, which also has the address at which machines find the registry.

It is the Linux kernel's own forwarding: a network namespace with a tap device on each segment's switch (vde_plug2tap).
Making one takes no root, only what the tools tree is entered with anyway (user namespaces), and /dev/net/tun, which
every distribution lets everybody open. A namespace of processes holds it together: its first one is the script, which
ends when anything in it ends, and takes the others with it.
Source: https://docs.kernel.org/networking/tuntap.html, user_namespaces(7), vde_plug2tap(1)
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.lab.machines import process
from bootstrap.lab.machines.qemu import LAB_FOLDER, switch_folder
from bootstrap.lab.networks.registry import PROXY_HEAD, registry_listener
from bootstrap.lab.plan import address_in
from bootstrap.lab.spec import PREFIX_LENGTH, REGISTRY_ADDRESS, REGISTRY_PORT, ROUTER, Lab, hardware_address
from bootstrap.lab.tools import ready_tree
from bootstrap.paths import templates_dir

ROUTER_RECORD = "router.process.json"
ROUTER_LOG = "router.log"
ROUTER_READY = "router.ready"
ROUTER_SCRIPT = "router.sh"
ROUTER_CONFIGURATION = "router.cfg"
TUN = Path("/dev/net/tun")
# As root in the namespaces, whoever that is outside of them.
NAMESPACES = (
    "--unshare-user",
    "--uid",
    "0",
    "--gid",
    "0",
    "--unshare-net",
    "--unshare-pid",
    "--as-pid-1",
    "--cap-add",
    "ALL",
)


def router_running(lab: Lab) -> bool:
    """Whether the router runs."""
    return process.recorded(lab.folder / ROUTER_RECORD) is not None


def start_router(lab: Lab) -> None:
    """Start the router where it does not run; the switches and the registry have to. Returns when it forwards.

    Raises ClusterupError when it does not start.
    """
    if router_running(lab):
        return
    for leftover in (ROUTER_READY, ROUTER_CONFIGURATION):
        (lab.folder / leftover).unlink(missing_ok=True)
    (lab.folder / ROUTER_SCRIPT).write_bytes((templates_dir() / "lab" / ROUTER_SCRIPT).read_bytes())
    if lab.registry_port is not None:
        (lab.folder / ROUTER_CONFIGURATION).write_text(way_to_registry())
    process.start_in(
        ready_tree(),
        router_argv(lab),
        folder=lab.folder,
        record=lab.folder / ROUTER_RECORD,
        log=lab.folder / ROUTER_LOG,
        options=NAMESPACES,
    )
    process.wait_ready("the router", lab.folder, ROUTER_RECORD, ROUTER_LOG, (lab.folder / ROUTER_READY).exists)


def stop_router(lab: Lab) -> bool:
    """End the router. False where it did not run. Raises ClusterupError where it does not end."""
    # It has nothing to finish, and the first process of a namespace takes no other signal from outside.
    return process.end(lab.folder / ROUTER_RECORD, signal.SIGKILL)


def router_argv(lab: Lab) -> list[str]:
    """What runs in the router's namespace: templates/lab/router.sh."""
    return ["bash", f"{LAB_FOLDER}/{ROUTER_SCRIPT}", *(_card(lab.name, segment) for segment in lab.segment_numbers)]


def _card(lab: str, segment: int) -> str:
    switch = switch_folder(segment)
    return f"{switch}={address_in(segment, ROUTER)}/{PREFIX_LENGTH}={hardware_address(lab, 'router', switch)}"


def way_to_registry() -> str:
    """HAProxy's configuration in the router: what comes to the registry's address goes to its socket."""
    return f"""\
{PROXY_HEAD}\
    timeout client 1h
    timeout server 1h
{registry_listener(f"{REGISTRY_ADDRESS}:{REGISTRY_PORT}")}"""


def require_tun(device: Path) -> None:
    """Raise ClusterupError where no tap devices can be made with `device`."""
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError as error:
        raise ClusterupError(
            "the router between the segments, and to the registry, can't be made here",
            step="lab",
            tried=f"open {device} for reading and writing",
            got=error.strerror or str(error),
            hint=f"as root: modprobe tun; chmod 0666 {device} (every distribution has it so). A lab without --segments "
            "and --registry has no router",
        ) from None
