"""A bundle that is one file is read where it stands, and is the folder that it was made of when it is unpacked."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from bootstrap.content import Content
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.image.bundle import Bundle
from bootstrap.image.disk.copying import copy_image
from bootstrap.image.disk.segments import pack, unpacked_chunks
from bootstrap.image.files import bundle_as_data, verify_bundle
from bootstrap.image.finding import find_bundle, load_bundle
from bootstrap.image.manifest import manifest_of, write_manifest
from bootstrap.image.packing import EXECUTABLE_MAGIC, EXECUTABLE_TRAILER, goes_along, pack_bundle
from bootstrap.image.signing import check_signed, public_keys_in, sign_bundle

MIB = 1 << 20
RAW = bytes([1]) * MIB + bytes(20 * MIB) + bytes([2]) * (2 * MIB)
# Of the head of an ELF file, as far as it is looked at.
HEAD = {"amd64": b"\x7fELF" + bytes(14) + b"\x3e\x00", "arm64": b"\x7fELF" + bytes(14) + b"\xb7\x00"}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    folder = tmp_path / "bundle"
    (folder / "images").mkdir(parents=True)
    (tmp_path / "raw").write_bytes(RAW)
    segments = pack(tmp_path / "raw", folder / "os.raw.zst", level=1)
    (folder / "live.raw").write_bytes(RAW)
    (folder / "payload.raw").write_bytes(b"payload")
    (folder / "images" / "pause.tar").write_bytes(b"pause")
    system = dataclasses.replace(bundle_as_data("os", folder / "os.raw.zst"), raw_size=len(RAW), segments=segments)
    components = {"etcd": "3.5.30", "containerd": "2.1.9", "kubernetes": "1.36.2"}
    artifacts = [
        system,
        bundle_as_data("live", folder / "live.raw"),
        bundle_as_data("payload", folder / "payload.raw", components=components),
        bundle_as_data("image/pause", folder / "images" / "pause.tar", reference="clusterup.local/pause:1"),
    ]
    made = Bundle(folder, "20261130", {artifact.name: artifact for artifact in artifacts})
    write_manifest(made)
    return load_bundle(folder)


@pytest.fixture
def packed(bundle: Bundle, tmp_path: Path) -> Bundle:
    pack_bundle(bundle, [], None, tmp_path / "bundle.tar")
    return load_bundle(tmp_path / "bundle.tar")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    place = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place)], check=True)
    return place


def executable(tmp_path: Path, architecture: str) -> Path:
    """A file that begins and ends as an executable of clusterup does."""
    file = tmp_path / f"clusterup-{architecture}"
    file.write_bytes(HEAD[architecture] + bytes(1000) + EXECUTABLE_MAGIC.ljust(EXECUTABLE_TRAILER, b"\0"))
    return file


def read(content: Content) -> bytes:
    with content.open() as handle:
        return handle.read()


def test_it_says_what_the_folder_says(bundle: Bundle, packed: Bundle) -> None:
    assert manifest_of(packed) == manifest_of(bundle)
    assert (packed.version, packed.versions, packed.releases) == (bundle.version, bundle.versions, bundle.releases)


def test_each_artifact_is_read_where_it_stands(bundle: Bundle, packed: Bundle) -> None:
    verify_bundle(packed, packed.artifacts)
    assert {name: read(part.content) for name, part in packed.artifacts.items()} == {
        name: part.file.read_bytes() for name, part in bundle.artifacts.items()
    }


def test_segments_of_the_disk_image_are_found_in_it(packed: Bundle) -> None:
    system = packed.artifact("os")
    assert len(system.segments) == 2
    for segment in system.segments:
        data = b"".join(unpacked_chunks(system.content, segment))
        assert data == RAW[segment.offset : segment.offset + segment.size]


def test_a_stick_is_copied_out_of_it_without_taking_room_for_what_is_empty(packed: Bundle, tmp_path: Path) -> None:
    copy_image(packed.artifact("live").content, tmp_path / "stick")
    assert (tmp_path / "stick").read_bytes() == RAW
    assert (tmp_path / "stick").stat().st_blocks * 512 < len(RAW) / 2
    assert (tmp_path / "stick").stat().st_mode & 0o777 == 0o600


def test_any_tar_makes_the_folder_of_it_again(bundle: Bundle, packed: Bundle, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    subprocess.run(["tar", "-xf", str(packed.directory), "-C", str(tmp_path / "again")], check=True)
    again = load_bundle(tmp_path / "again")
    verify_bundle(again, again.artifacts)
    assert manifest_of(again) == manifest_of(bundle)


def test_it_is_the_same_bytes_whenever_it_is_packed(bundle: Bundle, packed: Bundle, tmp_path: Path) -> None:
    pack_bundle(bundle, [], None, tmp_path / "later.tar")
    assert (tmp_path / "later.tar").read_bytes() == packed.directory.read_bytes()


def test_packing_one_that_is_packed_makes_the_same(packed: Bundle, tmp_path: Path) -> None:
    pack_bundle(packed, [], None, tmp_path / "later.tar")
    assert (tmp_path / "later.tar").read_bytes() == packed.directory.read_bytes()


def test_a_copy_that_was_cut_off_says_how_to_go_on(packed: Bundle) -> None:
    whole = packed.directory.read_bytes()
    for length in (len(whole) // 2, 700, 100, 0):
        packed.directory.write_bytes(whole[:length])
        with pytest.raises(ClusterupError, match="no whole bundle") as caught:
            load_bundle(packed.directory)
        assert "rsync --append-verify" in caught.value.hint


def test_a_byte_that_was_changed_is_found_by_verifying(packed: Bundle) -> None:
    content = packed.artifact("payload").content
    with packed.directory.open("r+b") as handle:
        handle.seek(content.begins)
        handle.write(b"X")
    with pytest.raises(Refused, match=r"payload\.raw is not the one its manifest names") as caught:
        verify_bundle(load_bundle(packed.directory), ["payload"])
    assert f"payload.raw in {packed.directory}" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n" * 100, bytes(4096)])
def test_a_file_that_is_something_else_is_no_bundle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ClusterupError, match="no whole bundle"):
        find_bundle(str(tmp_path / "file"))


def test_names_that_lead_out_of_it_are_not_followed(packed: Bundle, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        link = tarfile.TarInfo("manifest.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ClusterupError, match="no whole bundle"):
        load_bundle(tmp_path / "links.tar")


def added(file: Path, name: str) -> None:
    """Another file in the tar, in front of its end, as anybody can put one there."""
    with tarfile.open(file, "a") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))


@pytest.mark.parametrize(
    "name", ["executable/clusterup-linux-amd64", "executable//clusterup-linux-amd64", "./payload.raw", "../x", "/etc/x"]
)
def test_what_its_manifest_does_not_name_is_refused(packed: Bundle, name: str) -> None:
    added(packed.directory, name)
    with pytest.raises(ClusterupError, match="no whole bundle"):
        load_bundle(packed.directory)


@pytest.mark.parametrize("behind", [b"x", bytes(512), b"x" * 1024])
def test_what_stands_behind_its_end_is_refused(packed: Bundle, behind: bytes) -> None:
    packed.directory.write_bytes(packed.directory.read_bytes() + behind)
    with pytest.raises(ClusterupError, match="no whole bundle"):
        load_bundle(packed.directory)


def test_a_block_of_something_else_between_two_files_is_refused(packed: Bundle) -> None:
    whole = packed.directory.read_bytes()
    begins = packed.artifact("payload").content.begins - 512
    packed.directory.write_bytes(whole[:begins] + b"x" * 512 + whole[begins:])
    with pytest.raises(ClusterupError, match="no whole bundle"):
        load_bundle(packed.directory)


def test_a_signed_bundle_is_signed_when_it_is_packed(bundle: Bundle, key: Path, tmp_path: Path) -> None:
    sign_bundle(bundle.directory, key)
    pack_bundle(load_bundle(bundle.directory), [], None, tmp_path / "signed.tar")
    signed = load_bundle(tmp_path / "signed.tar")
    trusted = public_keys_in(f"{key}.pub")
    assert check_signed(signed, trusted, list(signed.artifacts)) == check_signed(
        load_bundle(bundle.directory), trusted, list(bundle.artifacts)
    )


def test_executables_go_with_it_for_each_architecture(bundle: Bundle, tmp_path: Path) -> None:
    files = [executable(tmp_path, "amd64"), executable(tmp_path, "arm64")]
    pack_bundle(bundle, files, None, tmp_path / "bundle.tar")
    packed = load_bundle(tmp_path / "bundle.tar")
    verify_bundle(packed, packed.artifacts)
    assert read(packed.artifact("tool/clusterup").content) == files[0].read_bytes()
    assert packed.artifact("arm64/tool/clusterup").inside == "executable/clusterup-linux-arm64"
    # What runs clusterup is not what nodes are made of.
    assert packed.architectures == ("amd64",)
    with tarfile.open(packed.directory) as archive:
        modes = {entry.name: entry.mode for entry in archive}
    assert modes["executable/clusterup-linux-amd64"] == 0o755
    assert modes["payload.raw"] == 0o644
    assert manifest_of(packed.for_nodes) == manifest_of(bundle.for_nodes)


def test_a_signed_bundle_gets_an_executable_only_with_a_new_signature(
    bundle: Bundle, key: Path, tmp_path: Path
) -> None:
    sign_bundle(bundle.directory, key)
    signed, file = load_bundle(bundle.directory), executable(tmp_path, "amd64")
    with pytest.raises(Refused, match="with more in it it would not be any more: tool/clusterup"):
        pack_bundle(signed, [file], None, tmp_path / "bundle.tar")
    assert not (tmp_path / "bundle.tar").exists()
    signer = pack_bundle(signed, [file], key, tmp_path / "bundle.tar")
    packed = load_bundle(tmp_path / "bundle.tar")
    assert check_signed(packed, public_keys_in(f"{key}.pub"), list(packed.artifacts)) == signer


def test_the_executable_that_runs_goes_along_where_it_changes_nothing_that_is_there(
    bundle: Bundle, key: Path, tmp_path: Path
) -> None:
    own = executable(tmp_path, "amd64")
    assert goes_along(bundle, own, None)
    pack_bundle(bundle, [own], None, tmp_path / "bundle.tar")
    assert not goes_along(load_bundle(tmp_path / "bundle.tar"), own, None)
    sign_bundle(bundle.directory, key)
    assert not goes_along(load_bundle(bundle.directory), own, None)
    assert goes_along(load_bundle(bundle.directory), own, key)


def test_a_program_that_is_not_clusterup_is_not_taken_for_it(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="no executable of clusterup"):
        pack_bundle(bundle, [Path("/bin/sh")], None, tmp_path / "bundle.tar")


def test_a_bundle_that_is_damaged_is_not_packed(bundle: Bundle, tmp_path: Path) -> None:
    bundle.artifact("payload").file.write_bytes(b"another")
    with pytest.raises(Refused):
        pack_bundle(bundle, [], None, tmp_path / "bundle.tar")
    assert list(tmp_path.glob("*bundle.tar*")) == []
