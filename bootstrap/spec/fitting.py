"""Whether the programs of a payload know every flag and every setting that clusterup would give them.

What a release does not know stops a node at three in the morning; it is found when the bundle is made, by asking the
programs themselves.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bootstrap.constants.paths import KUBELET_YAML, PROXY_YAML
from bootstrap.errors import Refused
from bootstrap.image.payload import CRI_V1, require_lasting_votes
from bootstrap.image.versions import Versions, versions_of
from bootstrap.inventory.model import Inventory
from bootstrap.machine.units import Unit
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.control_plane import api_server_unit, controller_manager_unit, scheduler_unit
from bootstrap.spec.etcd import etcd_unit
from bootstrap.spec.node_services import containerd_config, kubelet_unit, proxy_unit
from bootstrap.spec.topology import Shape, servers_of

STEP = "image build"
# Source: https://kubernetes.io/blog/2025/09/12/kubernetes-v1-34-cri-cgroup-driver-lookup-now-ga/
CONTAINERD_1_GONE = 36
_FLAG = re.compile(r"^\s*(?:-\w, )?--([a-z0-9][a-z0-9-]*)", re.MULTILINE)
# These stand for any cluster: what is asked for is the same in each.
_NODE = {"name": "a-node", "role": "server", "address": "192.0.2.1"}
_CA = NodeFile("/etc/kubernetes/pki/ca.crt", b"")


def check_fits(components: Mapping[str, str], told: Path, binaries: Path) -> None:
    """Raise Refused with the names of all flags and settings that a program of the payload does not know, and for an
    etcd that forgets who has a vote.

    `components` are the versions by name, `told` is what the programs say of themselves (see `Payload`), `binaries` the
    folder with Kubernetes' own.
    Raises OSError where one of them can't be read.
    """
    versions = versions_of(components)
    require_lasting_votes(components["etcd"])
    if (problem := _runtime_problem(versions)) is not None:
        raise problem
    inventory = Inventory.model_validate({"cluster": {"name": "any"}, "nodes": [_NODE]})
    shape = Shape(inventory, inventory.nodes[0], versions, servers_of(inventory))
    unknown = [*_unknown_flags(shape, told), *_unknown_settings(shape, told, binaries)]
    if unknown:
        raise Refused(
            "these programs don't know what clusterup would say to them",
            step=STEP,
            tried="look for every flag in what --help says, and for every setting in the program",
            got="; ".join(unknown),
            hint="use a release that clusterup supports (docs/kubernetes.md), or a newer clusterup",
        )


def _runtime_problem(versions: Versions) -> Refused | None:
    """That the kubelet and the container runtime are not made for each other."""
    major = versions.containerd[0]
    if versions.minor < CRI_V1 and major > 1:
        wanted = "containerd 1.7, because it speaks CRI v1alpha2, which is gone from containerd 2"
    elif versions.minor >= CONTAINERD_1_GONE and major < 2:
        wanted = "containerd 2, because it has ended its support of containerd 1.7"
    else:
        return None
    found = ".".join(map(str, versions.containerd))
    return Refused(
        f"Kubernetes 1.{versions.minor} needs {wanted}",
        step=STEP,
        got=f"containerd {found}",
        hint="leave containerd and runc out of the folder: then they come from Debian, in the version that fits",
    )


def known_flags(text: str) -> frozenset[str]:
    """The flags that a program's --help lists."""
    return frozenset(_FLAG.findall(text))


def _unknown_flags(shape: Shape, told: Path) -> Iterator[str]:
    units = (
        etcd_unit(shape, ()),
        api_server_unit(shape, ()),
        controller_manager_unit(shape, ()),
        scheduler_unit(shape, ()),
        kubelet_unit(shape, _CA),
        proxy_unit(shape, _CA),
    )
    for unit in units:
        program = Path(unit.argv[0]).name
        known = known_flags((told / program).read_text(errors="replace"))
        if missing := sorted(set(_flags_of(unit)) - known):
            yield f"{program}: {', '.join(f'--{name}' for name in missing)}"


def _flags_of(unit: Unit) -> Iterator[str]:
    for word in unit.argv[1:]:
        yield word.removeprefix("--").partition("=")[0]


def _unknown_settings(shape: Shape, told: Path, binaries: Path) -> Iterator[str]:
    import yaml

    for unit, path in ((kubelet_unit(shape, _CA), KUBELET_YAML), (proxy_unit(shape, _CA), PROXY_YAML)):
        program = Path(unit.argv[0]).name
        settings = yaml.safe_load(next(file.content for file in unit.files if file.path == path))
        content = (binaries / program).read_bytes()
        # A program in Go carries the names of the fields that it reads.
        if missing := [key for key in dict.fromkeys(_keys(settings)) if f'json:"{key}'.encode() not in content]:
            yield f"{program}: the settings {', '.join(missing)}"
    config = tomllib.loads(containerd_config(shape.versions.containerd).content.decode())
    known = tomllib.loads((told / "containerd.toml").read_text())
    if missing := list(_not_in(config, known, "")):
        yield f"containerd: the settings {', '.join(missing)}"


def _keys(settings: Mapping[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        yield key
        # What is looked at before a pod is evicted are names of signals, which stand in no structure of Go.
        if isinstance(value, dict) and key != "evictionHard":
            yield from _keys(value)


def _not_in(wanted: Mapping[str, Any], known: Mapping[str, Any], above: str) -> Iterator[str]:
    for key, value in wanted.items():
        if key not in known:
            yield above + key
        elif isinstance(value, dict) and isinstance(known[key], dict):
            yield from _not_in(value, known[key], f"{above}{key}.")
