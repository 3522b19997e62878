"""Programs that a payload is made of: Kubernetes' own, and those of what belongs to it where they don't come from
Debian."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image.architecture import Architecture, is_foreign, running, tools_for
from bootstrap.image.cache import cached, content_key
from bootstrap.image.kubernetes_debian import BINARIES
from bootstrap.image.osimage import SUITE, TOOLS
from bootstrap.image.trees import Log, ensure_tree, run_in

STEP = "image build"
CNI_FOLDER = "cni"
# What a component is made of in a folder of a person's: names there, and where they go below /usr. The first is asked
# for its version.
OWN_COMPONENTS = {
    "containerd": {name: f"bin/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
    "crictl": {"crictl": "bin/crictl"},
    "etcd": {name: f"bin/{name}" for name in ("etcd", "etcdctl")},
    "runc": {"runc": "sbin/runc"},
}
# Those that the built-in pod network is made of.
PLUGINS = ("bridge", "host-local", "loopback", "portmap")
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+\S*)", re.ASCII)
_KUBELET = re.compile(r"Kubernetes v(\d+\.\d+\.\d+\S*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class More:
    """A component's release, and a folder whose `usr` goes into the payload."""

    release: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Programs:
    """`kubernetes` is the folder with Kubernetes' binaries, `release` its release, as in 1.36.2; `components` are those
    that do not come from Debian, by name."""

    kubernetes: Path
    release: str
    components: Mapping[str, More] = field(default_factory=dict)


def own_programs(folder: Path, architecture: Architecture, log: Log) -> Programs:
    """A copy, kept in the cache, of the programs for that architecture in a folder of a person's.

    Raises BadUse where one is missing, ClusterupError where one does not say its version.
    """
    require_programs(folder)
    _require_architecture(folder, architecture)
    kubernetes = _kept(folder, {name: f"bin/{name}" for name in BINARIES}) / "usr" / "bin"
    components = {}
    for name, places in _components_in(folder).items():
        kept = _kept(folder, places)
        program = kept / "usr" / next(iter(places.values()))
        components[name] = More(_version_of(program, architecture, log), kept)
    return Programs(kubernetes, kubelet_version(kubernetes / "kubelet", architecture, log), components)


def _require_architecture(folder: Path, architecture: Architecture) -> None:
    """Raise BadUse where a program is for another processor: this machine may run it all the same."""
    components = _components_in(folder).values()
    others = []
    for name in (*BINARIES, *(place for places in components for place in places)):
        with (folder / name).open("rb") as program:
            head = program.read(20)
        # What is no ELF program may be a script, which runs everywhere.
        if head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") != architecture.elf:
            others.append(name)
    if others:
        raise BadUse(
            f"{folder} holds programs for another processor than {architecture.name}",
            step=STEP,
            tried="read the heads of its programs",
            got=", ".join(others),
            hint="name a folder with programs for it; a folder serves one --arch",
        )


def require_programs(folder: Path) -> None:
    """Raise BadUse where a program is missing: one of Kubernetes', or one of a component of which another is there."""
    missing = [name for name in BINARIES if not (folder / name).is_file()]
    if missing:
        raise BadUse(
            f"{folder} does not hold Kubernetes",
            step=STEP,
            tried=f"look for {', '.join(BINARIES)}",
            got=f"{', '.join(missing)} missing",
            hint="name a folder with all of them, or --source debian or upstream",
        )
    for name, places in _components_in(folder).items():
        missing = [place for place in places if not (folder / place).is_file()]
        if missing:
            raise BadUse(
                f"{folder} holds a part of {name} alone",
                step=STEP,
                tried=f"look for {', '.join(places)}",
                got=f"{', '.join(missing)} missing",
                hint="put all of them there, or none: then they come from Debian",
            )


def kubelet_version(kubelet: Path, architecture: Architecture, log: Log) -> str:
    """What a kubelet says its version is, as in "1.20.2". Raises ClusterupError."""
    said = _said_by(kubelet, architecture, log)
    found = _KUBELET.fullmatch(said)
    if found is None:
        raise _says_no_version(kubelet, said, architecture)
    return found[1]


def _components_in(folder: Path) -> dict[str, dict[str, str]]:
    """The components of which something is in the folder, and all that belongs to each."""
    found = {
        name: dict(places)
        for name, places in OWN_COMPONENTS.items()
        if any((folder / place).exists() for place in places)
    }
    if (folder / CNI_FOLDER).is_dir():
        there = {path.name for path in (folder / CNI_FOLDER).iterdir() if path.is_file()}
        names = (*PLUGINS, *sorted(there - set(PLUGINS)))
        found["cni-plugins"] = {f"{CNI_FOLDER}/{name}": f"lib/cni/{name}" for name in names}
    if "etcd" in found and (folder / "etcdutl").exists():
        found["etcd"]["etcdutl"] = "bin/etcdutl"
    return found


def _kept(folder: Path, places: Mapping[str, str]) -> Path:
    """A folder of the cache whose `usr` has copies of the files, each at its place."""
    key = content_key({f"{name} {place}": folder / name for name, place in places.items()})

    def copy(kept: Path) -> None:
        for name, place in places.items():
            target = kept / "usr" / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, target)
            target.chmod(0o755)

    return cached("own-programs", key, copy)


def _version_of(program: Path, architecture: Architecture, log: Log) -> str:
    said = _said_by(program, architecture, log)
    found = _VERSION.search(said)
    if found is None:
        raise _says_no_version(program, said, architecture)
    return found[1]


def _said_by(program: Path, architecture: Architecture, log: Log) -> str:
    if is_foreign(architecture):
        tree = ensure_tree("image", SUITE, tools_for(architecture, TOOLS), log=log)
        ask = running(architecture, [f"/programs/{program.name}", "--version"])
        try:
            return run_in(tree, ask, binds={program.parent: "/programs"}, log=lambda _: None).strip()
        except ClusterupError as error:
            return error.got or error.problem
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout.strip()


def _says_no_version(program: Path, said: str, architecture: Architecture) -> ClusterupError:
    return ClusterupError(
        f"{program.name} does not say which version it is",
        step=STEP,
        tried=f"{program} --version",
        got=said[-200:] or "nothing",
        hint=f"name a folder with programs for linux/{architecture.name}",
    )
