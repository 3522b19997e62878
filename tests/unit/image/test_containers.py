"""Container images made without a container engine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from bootstrap.image.containers import LayerFile, busybox_entries, write_image

REFERENCE = "clusterup.local/thing:1"


def files_of(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def image(tmp_path: Path, *, user: str = "") -> dict[str, bytes]:
    write_image(tmp_path / "image.tar", REFERENCE, [LayerFile("thing", b"program")], ["/thing", "-x"], user=user)
    return files_of(tmp_path / "image.tar")


def blob(files: dict[str, bytes], described: dict[str, Any]) -> bytes:
    content = files["blobs/sha256/" + described["digest"].removeprefix("sha256:")]
    assert len(content) == described["size"]
    assert "sha256:" + hashlib.sha256(content).hexdigest() == described["digest"]
    return content


def test_every_blob_is_named_and_described_by_its_hash(tmp_path: Path) -> None:
    files = image(tmp_path)
    manifest = json.loads(blob(files, json.loads(files["index.json"])["manifests"][0]))
    config = json.loads(blob(files, manifest["config"]))
    layer = blob(files, manifest["layers"][0])
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert config["config"]["Entrypoint"] == ["/thing", "-x"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        assert [(member.name, member.mode) for member in archive] == [("thing", 0o755)]


def test_the_runtime_learns_the_whole_name(tmp_path: Path) -> None:
    annotations = json.loads(image(tmp_path)["index.json"])["manifests"][0]["annotations"]
    assert annotations["io.containerd.image.name"] == REFERENCE


def test_an_image_can_have_a_user_that_is_not_root(tmp_path: Path) -> None:
    files = image(tmp_path, user="65535:65535")
    manifest = json.loads(blob(files, json.loads(files["index.json"])["manifests"][0]))
    assert json.loads(blob(files, manifest["config"]))["config"]["User"] == "65535:65535"


def test_the_same_contents_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_image(tmp_path / name, REFERENCE, busybox_entries(b"program", ["sh", "ls"]), ["sh"])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_busybox_has_a_link_for_each_of_its_programs_and_none_to_itself() -> None:
    links = {
        entry.path: entry.target for entry in busybox_entries(b"program", ["busybox", "sh", "wget"]) if entry.target
    }
    assert links == {"bin/sh": "busybox", "bin/wget": "busybox"}
