"""Machines without a guest: a network namespace that is plugged into a segment's switch, as a machine's card is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bootstrap.lab.machines import process
from bootstrap.lab.machines.qemu import LAB_FOLDER, switch_folder
from bootstrap.lab.networks.router import NAMESPACES
from bootstrap.lab.spec import ALL_SEGMENTS, PREFIX_LENGTH, Lab, LabMachine
from bootstrap.lab.tools import ready_tree

PLUG = """\
set -eu
ip link set lo up
ip tuntap add card mode tap
ip link set card address "$3"
ip address add "$2" dev card
ip link set card up
vde_plug2tap --sock "$1" card &
until ip -o link show dev card | grep -q LOWER_UP; do sleep 0.05; done
[ -z "$4" ] || ip route add "$5" via "$4"
: >"/run/lab/$6"
wait
"""
FETCH = """\
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
request = urllib.request.Request(sys.argv[1], headers={"Accept": sys.argv[2]})
with opener.open(request, timeout=30) as answer:
    sys.stdout.buffer.write(answer.read())
"""


@dataclass(frozen=True)
class Plugged:
    """A machine in whose place a namespace is; `pid` is a process in it."""

    machine: LabMachine
    pid: int

    def argv(self, *program: str) -> list[str]:
        """How a program of the host's is run with the machine's network."""
        return ["nsenter", "-t", str(self.pid), "-U", "--preserve-credentials", "-n", *program]

    def python(self, script: str, *arguments: str, given: bytes = b"") -> bytes:
        """What a Python script that runs there says; it has to succeed."""
        argv = self.argv(sys.executable, "-c", script, *arguments)
        done = subprocess.run(argv, input=given, capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        return done.stdout

    def fetches(self, url: str, kind: str = "*/*") -> bytes:
        """What it gets from a URL, of the media type `kind`."""
        return self.python(FETCH, url, kind)

    @property
    def routes(self) -> list[dict[str, str]]:
        """Its routes, as `ip -json route` has them."""
        shown = subprocess.run(self.argv("ip", "-json", "route"), capture_output=True, check=True).stdout
        routes: list[dict[str, str]] = json.loads(shown)
        return routes


@contextmanager
def plugged(lab: Lab, name: str) -> Iterator[Plugged]:
    """The machine of that name, plugged in and with the address and route that it has in a lab."""
    machine = lab.machine(name)
    record, ready = lab.folder / f"{name}.plug.json", f"{name}.plugged"
    switch, address = f"{LAB_FOLDER}/{switch_folder(machine.segment)}", f"{machine.address}/{PREFIX_LENGTH}"
    words = (switch, address, machine.private_mac, machine.router or "", ALL_SEGMENTS, ready)
    found = process.start_in(
        ready_tree(),
        ["bash", "-c", PLUG, "plug", *words],
        folder=lab.folder,
        record=record,
        log=lab.folder / f"{name}.plug.log",
        options=NAMESPACES,
    )
    try:
        process.wait_ready(name, lab.folder, record.name, f"{name}.plug.log", (lab.folder / ready).exists)
        yield Plugged(machine, found.pid)
    finally:
        process.end(record, signal.SIGKILL)
