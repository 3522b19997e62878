"""What a folder of a person's brings into the payload: Kubernetes, and the components that lie there too."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image.architecture import AMD64
from bootstrap.image.kubernetes_debian import BINARIES
from bootstrap.image.programs import PLUGINS, own_programs


def program(file: Path, said: str) -> None:
    """A program that says its version."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\necho '{said}'\n")
    file.chmod(0o755)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Kubernetes alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "kubernetes"
    for name in BINARIES:
        program(place / name, "Kubernetes v1.36.2")
    return place


def test_kubernetes_alone_leaves_the_components_to_debian(folder: Path) -> None:
    found = own_programs(folder, AMD64, print)
    assert found.release == "1.36.2"
    assert found.components == {}
    assert sorted(path.name for path in found.kubernetes.iterdir()) == sorted(BINARIES)


def test_components_come_along_with_their_versions_and_each_to_its_place(folder: Path) -> None:
    for name in ("containerd", "containerd-shim-runc-v2", "ctr"):
        program(folder / name, "containerd github.com/containerd/containerd/v2 v2.1.9 1e2d3c4")
    for name in ("etcd", "etcdctl", "etcdutl"):
        program(folder / name, "etcd Version: 3.6.9")
    program(folder / "runc", "runc version 1.5.1")
    program(folder / "crictl", "crictl version v1.36.0")
    for name in (*PLUGINS, "vlan"):
        program(folder / "cni" / name, f"CNI {name} plugin v1.9.1")
    found = own_programs(folder, AMD64, print).components
    assert {name: more.release for name, more in found.items()} == {
        "cni-plugins": "1.9.1",
        "containerd": "2.1.9",
        "crictl": "1.36.0",
        "etcd": "3.6.9",
        "runc": "1.5.1",
    }
    usr = {str(path.relative_to(more.folder)) for more in found.values() for path in more.folder.rglob("*")}
    assert {"usr/bin/containerd", "usr/bin/etcdutl", "usr/sbin/runc", "usr/lib/cni/bridge", "usr/lib/cni/vlan"} < usr


@pytest.mark.parametrize(("there", "missing"), [("containerd", "ctr"), ("etcdctl", "etcd"), ("cni/bridge", "loopback")])
def test_a_part_of_a_component_is_refused(folder: Path, there: str, missing: str) -> None:
    program(folder / there, "v1.2.3")
    with pytest.raises(BadUse, match="a part of") as refused:
        own_programs(folder, AMD64, print)
    assert missing in (refused.value.got or "")


def test_a_program_that_does_not_say_its_version_is_named(folder: Path) -> None:
    program(folder / "runc", "hello")
    with pytest.raises(ClusterupError, match="runc does not say which version it is") as failed:
        own_programs(folder, AMD64, print)
    assert failed.value.got == "hello"


def test_another_program_in_its_place_makes_another_copy(folder: Path) -> None:
    before = own_programs(folder, AMD64, print)
    program(folder / "kubelet", "Kubernetes v1.36.3")
    after = own_programs(folder, AMD64, print)
    assert (before.release, after.release) == ("1.36.2", "1.36.3")
    assert before.kubernetes != after.kubernetes


def test_programs_for_another_processor_are_refused_though_this_machine_may_run_them(folder: Path) -> None:
    (folder / "kubelet").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + (183).to_bytes(2, "little") + bytes(100))
    with pytest.raises(BadUse, match="another processor than amd64") as refused:
        own_programs(folder, AMD64, print)
    assert refused.value.got == "kubelet"
