"""A simulated machine: live from its stick, then installed; what is on its disk, what runs, what a boot makes again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootstrap.constants.paths import KEPT_ETC, PAYLOADS, WANTS_FILE
from bootstrap.image.bundle import Artifact
from tests.simulator.image import NotWhole, System, grow, system_on
from tests.simulator.machines.commands import answer_to
from tests.simulator.machines.disk import Disk
from tests.simulator.machines.files import Files
from tests.simulator.machines.machine import Answer
from tests.simulator.machines.node_services import begins, ends
from tests.simulator.machines.units import Systemd

if TYPE_CHECKING:
    from bootstrap.pki.sshkeys import SshKey
    from tests.simulator.etcd_cluster import EtcdCluster
    from tests.simulator.site import Site

GIB = 1 << 30


@dataclass(frozen=True)
class EtcdData:
    """What is below /var/lib/etcd: which member of which cluster this is."""

    cluster: EtcdCluster
    member: int


class SimulatedMachine:
    """See `tests.simulator.machines.machine.Machine`. Everything happens under the site's lock, and at once.

    `image` is what makes a disk one that the firmware starts from; `live_key` is the host key of the live environment,
    `admits` the public key that it lets in.
    """

    def __init__(self, site: Site, name: str, address: str, *, image: Artifact, live_key: SshKey, admits: str) -> None:
        self.site = site
        self._name = name
        self.address = address
        self.image = image
        self.disk = Disk(8 * GIB, serial=f"sim-{name}")
        self.mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in uuid.uuid5(uuid.NAMESPACE_DNS, name).bytes[:3])
        self.files = Files()
        self.link: str | None = None
        self.merged: str | None = None
        self.etcd: EtcdData | None = None
        self.systemd = Systemd(self.files.content, lambda unit: begins(self, unit), lambda unit: ends(self, unit))
        self.on = False
        self.system: System | None = None
        self.boot_id = ""
        self.times_installed = 0
        self.has_run_installed = False
        self.reboots = False
        # Ports as the machine knows them -> where they really are.
        self.ports: dict[int, int] = {}
        self._live_key = live_key
        self._admits = admits

    @property
    def name(self) -> str:
        return self._name

    @property
    def installed(self) -> bool:
        return self.on and self.system is not None

    @property
    def host_key(self) -> bytes:
        with self.site.lock:
            self.site.settle()
            kept = self.files.content("/etc/ssh/ssh_host_ed25519_key") if self.installed else None
            return kept or self._live_key.private

    def lets_in(self, user: str, public_key_line: str) -> bool:
        with self.site.lock:
            kept = self.files.content("/etc/ssh/authorized_keys.d/root") if self.installed else None
            lines = [self._admits] if kept is None else kept.decode().splitlines()
            return user == "root" and any(line.split()[:2] == public_key_line.split()[:2] for line in lines)

    def run(self, script: str, stdin: bytes) -> Answer:
        with self.site.lock:
            self.site.settle()
            answer = answer_to(self, script, stdin)
            if answer is None:
                self.site.complain(f"{self.name} was sent a script that no one knows: {script[:300]}")
                return Answer(127, stderr=b"the simulator does not know this script\n")
            self.site.settle()
            return answer

    def leads_to(self, host: str, port: int) -> tuple[str, int] | None:
        with self.site.lock:
            self.site.settle()
            place = self.ports.get(port) if host in ("127.0.0.1", "localhost", self.address) else None
            return None if place is None else ("127.0.0.1", place)

    def forget_all(self) -> None:
        """The partition table is gone, and with it everything that was on the disk."""
        self.files = Files()
        self.systemd.read = self.files.content
        self.link, self.etcd = None, None

    def start(self) -> None:
        """Switch it on: the firmware takes the disk where there is a system on it, else the stick."""
        if self.on:
            return
        self.on, self.reboots, self.boot_id = True, False, str(uuid.uuid4())
        try:
            self.system = system_on(self.image, self.disk)
        except NotWhole as error:
            self.system = None
            self.site.complain(f"{self.name} was started from a disk that is not whole: {error}")
        if self.system is None:
            return
        self.has_run_installed = True
        grow(self.image, self.disk)
        for path, (content, mode) in self.system.etc.items():
            self.files.write(path, content, mode)
        for path, file in self.files.below(f"{KEPT_ETC}/etc").items():
            self.files.write(path.removeprefix(KEPT_ETC), file.content, file.mode)
        self.merge()
        self.systemd.start_wanted([self.files.content(WANTS_FILE) or b""])

    def merge(self) -> bool:
        """What `systemd-sysext refresh` does: the payload that is linked, where it is one, becomes part of /usr."""
        content = self.files.content(self.link) if self.link else None
        self.merged = self.link.removeprefix(f"{PAYLOADS}/") if self.link and content in self.site.payloads else None
        return self.merged is not None

    def reboot(self) -> None:
        """An orderly end and a start, both at once."""
        self._stop()
        self.files.shut_down()
        self.start()

    def lose_power(self) -> None:
        """Everything ends; what was not on the disk yet is gone."""
        self._stop()
        self.files.lose_power()

    def _stop(self) -> None:
        self.systemd.stop_all()
        self.on, self.system, self.merged, self.reboots = False, None, None, False
