"""A machine that clusterup did not install: a folder with nothing but kubeadm and kubelet in it, as both see the world.

They run in it through bubblewrap: what they write stays there, they can't change this machine's cgroups, and they find
no systemd whose kubelet they could stop.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.daemons import daemon

# What Kubernetes' own packages start the kubelet with (10-kubeadm.conf), besides what kubeadm leaves in a file.
KUBELET = (
    "kubelet",
    "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
    "--kubeconfig=/etc/kubernetes/kubelet.conf",
    "--config=/var/lib/kubelet/config.yaml",
)
# What the machine lacks (cgroups, a runtime, programs) is not an obstacle. What the cluster lacks is one all the same.
IGNORED = "--ignore-preflight-errors=all"
FLAGS = "/var/lib/kubelet/kubeadm-flags.env"


@dataclass(frozen=True)
class Stranger:
    """The machine's root folder, and where what runs on it writes to."""

    root: Path
    logs: Path

    def file(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def kubeadm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """kubeadm to its end."""
        return subprocess.run(
            self._argv("kubeadm", *arguments), capture_output=True, text=True, check=False, timeout=120
        )

    def preflight(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The part of a join that looks at everything and changes nothing."""
        return self.kubeadm("join", "phase", "preflight", *arguments, IGNORED)

    @contextmanager
    def joining(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """`kubeadm join`, running."""
        with daemon(self._argv("kubeadm", "join", *arguments, IGNORED), self.log("join")) as it:
            yield it

    @contextmanager
    def kubelet(self) -> Iterator[subprocess.Popen[bytes]]:
        """The kubelet with what kubeadm has left for it, as the unit of Kubernetes' packages starts it."""
        flags = self.file(FLAGS).read_text().strip().removeprefix("KUBELET_KUBEADM_ARGS=").strip('"').split()
        with daemon(self._argv(*KUBELET, *flags), self.log("kubelet")) as it:
            yield it

    def has_client_certificate(self) -> bool:
        """Whether its kubelet has one: the link to the newest is made after the file that it names is written."""
        return self.file("/var/lib/kubelet/pki/kubelet-client-current.pem").is_symlink()

    def client_certificates(self) -> list[bytes]:
        """What its kubelet shows to API servers, with the key. The link to the newest is of the machine's own root."""
        return [path.read_bytes() for path in self.file("/var/lib/kubelet/pki").glob("kubelet-client-[0-9]*.pem")]

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _argv(self, program: str, *arguments: str) -> list[str]:
        argv = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-uts", "--hostname", "stranger"]
        argv += ["--bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc", "--ro-bind", "/sys", "/sys"]
        return [*argv, "--clearenv", "--setenv", "PATH", "/usr/bin", f"/usr/bin/{program}", *arguments]


def new_stranger(folder: Path, programs: Path) -> Stranger:
    """A machine below `folder` with kubeadm and kubelet out of `programs`."""
    root = folder / "root"
    for place in ("usr/bin", "dev", "etc", "proc", "sys", "tmp", "var/lib"):
        (root / place).mkdir(parents=True)
    for program in (programs / "kubeadm", programs / "kubelet"):
        try:
            os.link(program, root / "usr/bin" / program.name)
        except OSError:
            shutil.copy2(program, root / "usr/bin" / program.name)
    return Stranger(root, folder)
