"""A bundle says what it holds, and notices when that is no longer true."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError, Refused
from bootstrap.image.bundle import KUBECTL, Bundle, Partition, Segment
from bootstrap.image.files import bundle_as_data, verify_bundle
from bootstrap.image.finding import find_bundle, load_bundle
from bootstrap.image.manifest import write_manifest


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    folder = tmp_path / "bundle"
    (folder / "images").mkdir(parents=True)
    (folder / "os.raw.zst").write_bytes(b"compressed")
    (folder / "payload.raw").write_bytes(b"payload")
    (folder / "images" / "pause.tar").write_bytes(b"pause")
    packed = bundle_as_data("os", folder / "os.raw.zst", partitions=(Partition("CLUSTERUP", 1 << 20, 64 << 20),))
    segments = (Segment(0, 1 << 20, hashlib.sha256(b"head").hexdigest(), 0, 10),)
    system = dataclasses.replace(packed, raw_size=1 << 30, segments=segments)
    artifacts = [
        system,
        bundle_as_data(
            "payload",
            folder / "payload.raw",
            components={"etcd": "3.5.16", "containerd": "1.7.24", "kubernetes": "1.20.2"},
        ),
        bundle_as_data("image/pause", folder / "images" / "pause.tar", reference="clusterup.local/pause:1"),
    ]
    made = Bundle(folder, "20261124", {artifact.name: artifact for artifact in artifacts})
    write_manifest(made)
    return made


def test_what_is_written_is_read_back(bundle: Bundle) -> None:
    assert load_bundle(bundle.directory) == bundle


@pytest.mark.parametrize(("version", "minor"), [("1.20.2", 20), ("v1.31.0", 31)])
def test_the_minor_version_of_kubernetes_is_that_of_its_payload(bundle: Bundle, version: str, minor: int) -> None:
    bundle.artifact("payload").components["kubernetes"] = version
    assert bundle.versions.minor == minor


def test_files_are_named_relative_to_the_bundle_so_that_it_can_be_moved(bundle: Bundle, tmp_path: Path) -> None:
    moved = bundle.directory.rename(tmp_path / "elsewhere")
    assert load_bundle(moved).artifact("image/pause").file == moved / "images" / "pause.tar"


def test_an_intact_bundle_verifies(bundle: Bundle) -> None:
    verify_bundle(bundle, ["os", "payload", "image/pause"])


def test_a_changed_file_is_refused_with_both_hashes(bundle: Bundle) -> None:
    (bundle.directory / "payload.raw").write_bytes(b"payl0ad")
    with pytest.raises(Refused) as refusal:
        verify_bundle(bundle, ["payload"])
    said = str(refusal.value)
    assert "payload.raw" in said
    assert hashlib.sha256(b"payload").hexdigest() in said
    assert hashlib.sha256(b"payl0ad").hexdigest() in said


def test_only_the_named_files_are_verified(bundle: Bundle) -> None:
    (bundle.directory / "payload.raw").write_bytes(b"payl0ad")
    verify_bundle(bundle, ["os"])


def test_a_lost_file_is_refused_by_name(bundle: Bundle) -> None:
    (bundle.directory / "os.raw.zst").unlink()
    with pytest.raises(Refused, match=r"os\.raw\.zst can't be read"):
        verify_bundle(bundle, ["os"])


def test_an_unknown_partition_is_an_error_that_lists_those_there_are(bundle: Bundle) -> None:
    assert bundle.artifact("os").partition("CLUSTERUP").offset == 1 << 20
    with pytest.raises(ClusterupError, match="no partition state") as failure:
        bundle.artifact("os").partition("state")
    assert failure.value.got == "CLUSTERUP"


def test_a_folder_without_a_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ClusterupError, match="holds no bundle") as failure:
        load_bundle(tmp_path)
    assert "clusterup image build" in failure.value.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 3}, "doesn't know"),
        ({"artifacts": []}, "can't be understood"),
        ({"artifacts": {"os": {"file": "os.raw.zst", "size": 1}}}, "'sha256' is missing"),
        ({"artifacts": {"os": {"file": "../etc/shadow", "size": 1, "sha256": "0" * 64}}}, "outside the bundle"),
        ({"artifacts": {"os": {"file": "os.raw.zst", "size": 1, "sha256": "abc"}}}, "not a SHA-256"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_an_error_not_a_traceback(
    bundle: Bundle, change: dict[str, object], said: str
) -> None:
    manifest = bundle.directory / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(ClusterupError, match=said):
        load_bundle(bundle.directory)


def test_a_cut_manifest_is_an_error_not_a_traceback(bundle: Bundle) -> None:
    manifest = bundle.directory / "manifest.json"
    manifest.write_text(manifest.read_text()[:40])
    with pytest.raises(ClusterupError, match="can't be understood"):
        load_bundle(bundle.directory)


def test_the_newest_bundle_is_found_unless_another_is_configured(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ClusterupError, match="no bundle yet"):
        find_bundle(None)
    place = tmp_path / "cache" / "clusterup" / "bundle"
    place.mkdir(parents=True)
    bundle.directory.rename(place / "0123456789abcdef")
    (place / "current").symlink_to("0123456789abcdef")
    assert find_bundle(None).directory == place / "0123456789abcdef"
    assert find_bundle(str(place / "current")).version == bundle.version


@pytest.fixture
def several(bundle: Bundle) -> Bundle:
    """The bundle with two more releases of Kubernetes."""
    for release in ("1.36.2", "1.36.10"):
        for name, file in ((f"payload/{release}", f"payload-{release}.raw"), (f"{KUBECTL}/{release}", release)):
            (bundle.directory / file).write_text(f"{name} of {release}")
            made = bundle_as_data(name, bundle.directory / file, components={"kubernetes": release})
            bundle.artifacts[name] = made
    write_manifest(bundle)
    return load_bundle(bundle.directory)


def test_a_bundle_may_hold_several_releases_of_kubernetes(several: Bundle) -> None:
    assert list(several.releases) == ["1.36.10", "1.36.2", "1.20.2"]


@pytest.mark.parametrize(
    ("wanted", "release"),
    [(None, "1.20.2"), ("1.20", "1.20.2"), ("1.36", "1.36.10"), ("1.36.2", "1.36.2"), ("1.37", "1.20.2")],
)
def test_nodes_get_the_release_that_is_wanted(several: Bundle, wanted: str | None, release: str) -> None:
    chosen = several.of_release(wanted)
    assert chosen.kubernetes_version == release
    assert chosen.with_payload(several.artifact("payload").sha256).kubernetes_version == "1.20.2"
    assert chosen.for_nodes.artifacts["payload"] == chosen.artifact("payload")


def test_the_kubectl_of_a_release_comes_with_it(several: Bundle) -> None:
    assert several.of_release("1.36").artifact(KUBECTL).file.name == "1.36.10"


def test_the_payload_that_a_cluster_is_made_of_is_found_by_its_hash(several: Bundle) -> None:
    assert several.with_payload(several.artifact("payload/1.36.2").sha256).kubernetes_version == "1.36.2"
    assert several.with_payload("0" * 64) == several
