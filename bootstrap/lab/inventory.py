"""The inventory of a lab, as `clusterup apply` takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bootstrap.errors import BadUse
from bootstrap.image.architecture import AMD64
from bootstrap.lab.machines.qemu import CONSOLE_SOCKET, WIRE_SOCKET
from bootstrap.lab.spec import Accel, Lab, LabMachine, Reach
from bootstrap.lab.stick import cards
from bootstrap.paths import expanded

# Emulated machines are slow: leaders that miss a deadline end, start again, and make all of it slower still.
PATIENT = {
    "leader-elect-lease-duration": "90s",
    "leader-elect-renew-deadline": "75s",
    "leader-elect-retry-period": "10s",
}
# Once a minute the API server counts the objects of each of sixty kinds for its metrics, and each count is a round
# through the quorum: as much as all else that an idle cluster asks of etcd.
NO_COUNTS = {"etcd-count-metric-poll-period": "0s", "etcd-db-metric-poll-interval": "0s"}
# Every answer that takes longer than on a real machine is a warning, and writing that down takes time as well.
PATIENT_ETCD = {"heartbeat-interval": "1000", "election-timeout": "10000", "log-level": "error"}
# Its samples of how busy the API server is are half of what an idle one does, and count in emulation. Kubernetes has
# other ones from 1.26 on.
NO_SAMPLES = {"feature-gates": "APIPriorityAndFairness=false"}
SAMPLES_GONE = 26
# Three machines that start at once share one processor: an SSH server that is well may take long to greet. Where
# there is a console it is what is tried next, which should not take as long.
PATIENT_SSH = {Reach.SSH: 60, Reach.CONSOLE: 30}
# What is reckoned with to say how long an image takes: about as much as an emulated machine can take in.
WIRE_BAUD = 4_000_000
MARK = "# Written by `clusterup lab up` for the lab "


def inventory_text(lab: Lab, bundle: str | None, kubernetes_minor: int, bundle_arch: str = AMD64.name) -> str:
    """The inventory with a first line that says whose it is. `bundle` is the folder that was named, if any, and
    `kubernetes_minor` 20 for Kubernetes 1.20; `bundle_arch` is the bundle's own architecture."""
    cluster: dict[str, Any] = {"name": lab.name, "endpoint": f"127.0.0.1:{lab.endpoint_port}"}
    if len(lab.servers) % 2 == 0:
        cluster["allow_even_servers"] = True
    document: dict[str, Any] = {"cluster": cluster}
    if bundle is not None:
        document["os"] = {"bundle": str(expanded(bundle).resolve())}
    if any(_emulated(lab, machine) for machine in lab.machines):
        document["kubernetes"] = _for_slow_machines(kubernetes_minor)
    document["nodes"] = [_node(lab, machine, bundle_arch) for machine in lab.machines]
    return f"{_first_line(lab.name)}\n" + yaml.safe_dump(document, sort_keys=False, width=200)


def _emulated(lab: Lab, machine: LabMachine) -> bool:
    return lab.accel is Accel.TCG or machine.arch != AMD64.name


def _for_slow_machines(kubernetes_minor: int) -> dict[str, Any]:
    samples = {} if kubernetes_minor >= SAMPLES_GONE else NO_SAMPLES
    return {
        "api_server_args": {**samples, **NO_COUNTS},
        "etcd_args": dict(PATIENT_ETCD),
        "controller_manager_args": dict(PATIENT),
        "scheduler_args": dict(PATIENT),
    }


def _first_line(name: str) -> str:
    return f"{MARK}{name}."


def _node(lab: Lab, machine: LabMachine, own: str) -> dict[str, Any]:
    node: dict[str, Any] = {
        "name": machine.name,
        "role": machine.role,
        "address": machine.address,
        "disk": f"serial:{machine.serial}",
    }
    if machine.arch != own:
        node["architecture"] = machine.arch
    console = f"unix:{lab.folder / machine.name / CONSOLE_SOCKET}"
    if machine.reach is Reach.NO_CARD:
        wire = f"unix:{lab.folder / machine.name / WIRE_SOCKET}"
        return {**node, "console": {"url": wire, "baud": WIRE_BAUD, "only": True}}
    node["interfaces"] = [card.model_dump(mode="json", exclude_defaults=True) for card in cards(machine)]
    ssh: dict[str, Any] = {"host": "127.0.0.1", "port": machine.ssh_port, "user": "root", "use_config": False}
    if _emulated(lab, machine):
        ssh["silence"] = PATIENT_SSH[machine.reach]
    if machine.reach is Reach.CONSOLE:
        return {**node, "ssh": ssh, "console": {"url": console}}
    return {**node, "ssh": {**ssh, "key": str(lab.key_file), "host_key": machine.host_key}}


def check_inventory_place(path: Path, name: str) -> None:
    """Raise BadUse where `path` is a file that isn't the inventory of a lab of that name, or can't become one."""
    try:
        with path.open() as handle:
            first = handle.readline().rstrip("\n")
    except FileNotFoundError:
        if path.parent.is_dir():
            return
        got = f"there is no folder {path.parent}"
    except (OSError, UnicodeDecodeError) as error:
        got = str(error)
    else:
        if first == _first_line(name):
            return
        got = f"its first line is not {_first_line(name)!r}"
    raise BadUse(
        f"{path} can't become the inventory of the lab {name}",
        step="lab up",
        tried=f"look whether {path} is free or the lab's own",
        got=got,
        hint="name another file with --inventory; a file that is not the lab's own is never replaced",
    )


def write_inventory(path: Path, text: str) -> None:
    """Write the inventory. Raises BadUse where it can't be written."""
    try:
        path.write_text(text)
    except OSError as error:
        raise BadUse(
            f"{path} can't be written",
            step="lab up",
            got=error.strerror or str(error),
            hint="name a file in a folder of yours with --inventory",
        ) from None
