"""A release that does not know what clusterup would say to it is refused with the names of what it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import Refused
from bootstrap.image.payload import PROGRAMS
from bootstrap.inventory.flags import DEFAULTS, OWN
from bootstrap.spec.fitting import check_fits, known_flags

COMPONENTS = {"kubernetes": "1.36.2", "containerd": "2.1.9", "etcd": "3.5.30"}
CONTAINERD = """
version = 3
root = ''
state = ''
[plugins.'io.containerd.cri.v1.images']
snapshotter = ''
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = ''
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = []
conf_dir = ''
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = ''
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
"""
SETTINGS = (
    *("apiVersion", "kind", "authentication", "anonymous", "enabled", "webhook", "x509", "clientCAFile"),
    *("authorization", "mode", "cgroupDriver", "clusterDNS", "clusterDomain", "containerRuntimeEndpoint"),
    *("resolvConf", "rotateCertificates", "runtimeRequestTimeout", "clientConnection", "kubeconfig", "clusterCIDR"),
    *("hostnameOverride", "containerLogMaxFiles", "containerLogMaxSize", "evictionHard", "podPidsLimit"),
    *("imageGCHighThresholdPercent", "imageGCLowThresholdPercent"),
)


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """Programs that say they know all that clusterup ever sets, and what they are made of."""
    told, binaries = tmp_path / "told", tmp_path / "bin"
    told.mkdir()
    binaries.mkdir()
    flags = {name for known in (OWN, DEFAULTS) for names in known.values() for name in names}
    for program in PROGRAMS:
        (told / program).write_text("".join(f"      --{name} string   what it does\n" for name in sorted(flags)))
    (told / "containerd.toml").write_text(CONTAINERD)
    for program in ("kubelet", "kube-proxy"):
        (binaries / program).write_text("".join(f'json:"{name},omitempty"' for name in SETTINGS))
    return tmp_path


def refused(payload: Path) -> str:
    with pytest.raises(Refused) as refusal:
        check_fits(COMPONENTS, payload / "told", payload / "bin")
    assert refusal.value.got is not None
    return refusal.value.got


def test_an_etcd_that_forgets_who_has_a_vote_is_refused(payload: Path) -> None:
    with pytest.raises(Refused, match=r"the payload would have etcd 3\.5\.16"):
        check_fits(COMPONENTS | {"etcd": "3.5.16"}, payload / "told", payload / "bin")


def test_programs_that_know_everything_fit(payload: Path) -> None:
    check_fits(COMPONENTS, payload / "told", payload / "bin")


def test_a_flag_that_is_gone_is_named_with_its_program(payload: Path) -> None:
    for program, flag in (("kubelet", "node-ip"), ("etcd", "snapshot-count")):
        file = payload / "told" / program
        file.write_text(file.read_text().replace(f"--{flag} ", f"--no-{flag} "))
    assert refused(payload) == "etcd: --snapshot-count; kubelet: --node-ip"


def test_a_setting_that_is_gone_is_named_with_its_program(payload: Path) -> None:
    file = payload / "bin" / "kubelet"
    file.write_text(file.read_text().replace('json:"clientCAFile', 'json:"clientCA'))
    toml = payload / "told" / "containerd.toml"
    toml.write_text(toml.read_text().replace("bin_dirs", "bin_dir"))
    assert refused(payload) == (
        "kubelet: the settings clientCAFile; containerd: the settings plugins.io.containerd.cri.v1.runtime.cni.bin_dirs"
    )


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        ("      --v Level    number for the log level\n  -h, --help   help for kubelet\n", {"v", "help"}),
        ("  --name 'default'\n    Human-readable name, see --initial-cluster.\n", {"name"}),
        ("Usage:\n  kubelet [flags]\n", set()),
    ],
)
def test_flags_are_read_out_of_the_lines_that_begin_with_one(said: str, flags: set[str]) -> None:
    assert known_flags(said) == flags


@pytest.mark.parametrize(
    ("kubernetes", "containerd", "said"),
    [("1.20.2", "2.1.9", "needs containerd 1.7"), ("1.36.2", "1.7.24", "needs containerd 2")],
)
def test_a_runtime_that_the_kubelet_is_not_made_for_is_refused(
    payload: Path, kubernetes: str, containerd: str, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        check_fits(COMPONENTS | {"kubernetes": kubernetes, "containerd": containerd}, payload / "told", payload / "bin")
