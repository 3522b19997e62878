"""Machines of several architectures: what each is called, how foreign programs are run, what of a bundle is whose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image import architecture
from bootstrap.image.architecture import AMD64, ARM64, architecture_named, is_foreign, running, tools_for
from bootstrap.image.bundle import MANIFEST, Bundle
from bootstrap.image.finding import load_bundle
from bootstrap.image.manifest import write_manifest
from tests.helpers.worlds import bundle


@pytest.fixture
def amd64(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine, which has been told nothing of other architectures."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(architecture, "REGISTERED", tmp_path)


@pytest.fixture
def both(tmp_path: Path) -> Bundle:
    """A bundle for machines of two architectures."""
    made, other = bundle(tmp_path), bundle(tmp_path / "arm64", payload=b"for arm64")
    foreign = {f"arm64/{name}": replace(part, name=f"arm64/{name}") for name, part in other.artifacts.items()}
    write_manifest(replace(made, artifacts={**made.artifacts, **foreign}))
    return load_bundle(tmp_path)


@pytest.mark.parametrize("name", ["arm64", "aarch64"])
def test_an_architecture_is_known_by_debians_name_and_by_the_kernels(name: str) -> None:
    assert architecture_named(name) == ARM64


def test_one_that_nodes_can_not_have_is_refused_with_those_that_they_can() -> None:
    with pytest.raises(BadUse, match="known: amd64, arm64"):
        architecture_named("riscv64")


@pytest.mark.usefixtures("amd64")
def test_own_programs_are_run_as_they_are() -> None:
    assert not is_foreign(AMD64)
    assert running(AMD64, ["true"]) == ["true"]
    assert tools_for(AMD64, ("apt",)) == ("apt",)


@pytest.mark.usefixtures("amd64")
def test_foreign_ones_are_run_by_an_emulator_that_the_kernel_is_told_of_for_that_run_alone() -> None:
    assert running(ARM64, ["true", "x"])[:2] == ["env", "MACHINE=aarch64"]
    assert running(ARM64, ["true", "x"])[-2:] == ["true", "x"]
    assert "qemu-user" in tools_for(ARM64, ("apt",))


@pytest.mark.usefixtures("amd64")
def test_a_machine_that_runs_them_by_itself_is_told_nothing(tmp_path: Path) -> None:
    (tmp_path / "qemu-aarch64").touch()
    assert running(ARM64, ["true"]) == ["true"]


def test_what_is_for_another_architecture_is_found_by_the_names_of_a_bundle_of_its_own(both: Bundle) -> None:
    assert both.architectures == ("amd64", "arm64")
    own, other = both.for_architecture("amd64"), both.for_architecture("arm64")
    assert own == both
    assert other.architecture == "arm64"
    assert {name: part.name for name, part in other.artifacts.items()} == {
        name: f"arm64/{name}" for name in ("os", "payload", "image/pause")
    }
    assert other.artifact("payload").file.read_bytes() == b"for arm64"
    assert [image.name for image in both.images] == ["image/pause"]
    assert list(both.releases.values()) == ["payload"]


def test_a_bundle_of_another_architecture_alone_says_so(tmp_path: Path) -> None:
    write_manifest(replace(bundle(tmp_path), architecture="arm64"))
    assert load_bundle(tmp_path).architectures == ("arm64",)


def test_those_who_know_one_architecture_alone_do_not_take_it_for_that(tmp_path: Path) -> None:
    write_manifest(replace(bundle(tmp_path), architecture="arm64"))
    assert json.loads((tmp_path / MANIFEST).read_text())["format"] == 2


def test_a_bundle_from_before_there_were_others_is_amd64(tmp_path: Path) -> None:
    bundle(tmp_path)
    assert "architecture" not in json.loads((tmp_path / MANIFEST).read_text())
    assert load_bundle(tmp_path).architecture == "amd64"


def test_a_bundle_for_machines_that_are_not_known_is_refused(tmp_path: Path) -> None:
    bundle(tmp_path)
    manifest = tmp_path / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "architecture": "riscv64"}))
    with pytest.raises(ClusterupError, match="riscv64"):
        load_bundle(tmp_path)
