"""What apt is told about the micro OS, and how Debian's versions are read."""

from __future__ import annotations

import pytest

from bootstrap.image.architecture import AMD64
from bootstrap.image.payload import installed_status, packages_for, release_of


@pytest.mark.parametrize(
    ("debian", "release"),
    [("1.7.24~ds1-6+deb13u1", "1.7.24"), ("3.5.16-4", "3.5.16"), ("1.1.1+ds1-3+b17", "1.1.1"), ("1:2.0.1-1", "2.0.1")],
)
def test_the_release_is_read_out_of_a_debian_version(debian: str, release: str) -> None:
    assert release_of(debian) == release


def test_packages_of_the_micro_os_count_as_installed() -> None:
    stanzas = installed_status({"libc6": "2.41-12", "bash": "5.2"}, AMD64).strip().split("\n\n")
    fields = [dict(line.split(": ", 1) for line in stanza.splitlines()) for stanza in stanzas]
    assert [(entry["Package"], entry["Version"]) for entry in fields] == [("bash", "5.2"), ("libc6", "2.41-12")]
    assert {entry["Status"] for entry in fields} == {"install ok installed"}


def test_a_kubelet_that_needs_cri_v1alpha2_gets_containerd_1_and_a_later_one_containerd_2() -> None:
    assert {"containerd", "runc", "containernetworking-plugins"} < set(packages_for(20))
    assert {"containerd/forky", "runc/forky", "containernetworking-plugins/forky"} < set(packages_for(36))


@pytest.mark.parametrize("minor", [20, 36])
def test_etcd_keeps_the_promotion_of_learners_in_every_payload(minor: int) -> None:
    assert {"etcd-server/forky", "etcd-client/forky"} < set(packages_for(minor))
