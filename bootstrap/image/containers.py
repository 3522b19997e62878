"""Container images that a node needs without a registry, made of Debian's static binaries.

`pause` holds a pod's namespaces (it is catatonit, https://github.com/openSUSE/catatonit); `busybox` is for tests and
for looking around. Both are OCI image layouts in a tar, as `ctr images import` takes them.
Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.image.architecture import AMD64, Architecture, is_foreign, running, tools_for
from bootstrap.image.cache import cached, content_key
from bootstrap.image.osimage import SUITE, TOOLS
from bootstrap.image.trees import Log, ensure_tree, run_in

PACKAGES = ("busybox-static", "catatonit")
# The packages as they are, for an architecture whose programs this machine does not run by itself.
FETCH = """\
set -eu
apt="apt-get -qq -o APT::Architecture=$ARCHITECTURE -o APT::Architectures=$ARCHITECTURE -o APT::Sandbox::User=root"
apt="$apt -o Dir::State=/work/state -o Dir::Cache=/work/cache"
cd /work
mkdir -p state/lists/partial cache/archives/partial
$apt update
$apt download $PACKAGES
for package in *.deb; do dpkg-deb --extract $package root; done
"""
REGISTRY = "clusterup.local"
RECIPE_VERSION = "1"
MEDIA = "application/vnd.oci.image"


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """An image in `file`, known to the runtime as `reference`."""

    name: str
    file: Path
    reference: str


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A file (`content`) or a symbolic link (`target`) of an image's only layer; owned by root."""

    path: str
    content: bytes = b""
    target: str = ""
    mode: int = 0o755


def build_containers(architecture: Architecture, log: Log) -> tuple[ContainerImage, ...]:
    """The images for that architecture, made where they are not in the cache yet. Raises ClusterupError when Debian's
    packages can't be fetched."""
    parts = {"suite": SUITE, "packages": " ".join(PACKAGES), "recipe": RECIPE_VERSION}
    if architecture != AMD64:
        parts |= {"architecture": architecture.name, "fetch": FETCH}
    key = content_key(parts)
    names = {"pause": f"{REGISTRY}/pause:1", "busybox": f"{REGISTRY}/busybox:1"}

    def build(folder: Path) -> None:
        programs, listed = _foreign(folder, architecture, log) if is_foreign(architecture) else _own(log)
        log(f"making container images for {architecture.name}: pause, busybox")
        applets = listed.split()
        write_image(
            folder / "pause.tar",
            names["pause"],
            [LayerFile("pause", (programs / "catatonit").read_bytes())],
            ["/pause", "-P"],
            architecture,
            user="65535:65535",
        )
        entries = busybox_entries((programs / "busybox").read_bytes(), applets)
        write_image(folder / "busybox.tar", names["busybox"], entries, ["sh"], architecture)
        if (folder / ".work").exists():
            shutil.rmtree(folder / ".work")

    folder = cached("containers", key, build)
    return tuple(ContainerImage(name, folder / f"{name}.tar", reference) for name, reference in names.items())


def _own(log: Log) -> tuple[Path, str]:
    """The folder with the programs, and what busybox lists as its own."""
    tree = ensure_tree("containers", SUITE, PACKAGES, log=log)
    listed = run_in(tree, ["busybox", "--list"], log=lambda _: None, what="listing busybox's programs")
    # /bin leads to /usr/bin inside the tree; a path outside of it would be the host's.
    return tree / "usr" / "bin", listed


def _foreign(folder: Path, architecture: Architecture, log: Log) -> tuple[Path, str]:
    """The same for an architecture that is not this machine's, below `folder`."""
    work = folder / ".work"
    work.mkdir()
    tree = ensure_tree("image", SUITE, tools_for(architecture, TOOLS), log=log)
    environment = {"ARCHITECTURE": architecture.name, "PACKAGES": " ".join(PACKAGES)}
    run_in(tree, ["sh", "-c", FETCH], binds={work: "/work"}, env=environment, log=log, what="fetching busybox")
    programs = work / "root" / "usr" / "bin"
    ask = running(architecture, ["/programs/busybox", "--list"])
    return programs, run_in(tree, ask, binds={programs: "/programs"}, log=lambda _: None, what="listing its programs")


def busybox_entries(program: bytes, applets: Sequence[str]) -> list[LayerFile]:
    """busybox with a link for each of its programs, and the few files that they look for."""
    return [
        LayerFile("bin/busybox", program),
        *(LayerFile(f"bin/{name}", target="busybox") for name in applets if name != "busybox"),
        LayerFile(
            "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", mode=0o644
        ),
        LayerFile("etc/group", b"root:x:0:\nnogroup:x:65534:\n", mode=0o644),
        LayerFile("tmp/.keep", mode=0o644),
        LayerFile("root/.keep", mode=0o644),
    ]


def write_image(
    file: Path,
    reference: str,
    entries: Sequence[LayerFile],
    command: Sequence[str],
    architecture: Architecture = AMD64,
    *,
    user: str = "",
) -> None:
    """Write an image of one layer to `file`: the same bytes for the same arguments. Raises OSError."""
    layer = _layer(entries)
    config = {
        "architecture": architecture.name,
        "os": "linux",
        "config": {"Entrypoint": list(command), "Env": ["PATH=/bin"], **({"User": user} if user else {})},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    config_blob = _json(config)
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{MEDIA}.manifest.v1+json",
            "config": _described(f"{MEDIA}.config.v1+json", config_blob),
            "layers": [_described(f"{MEDIA}.layer.v1.tar", layer)],
        }
    )
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                **_described(f"{MEDIA}.manifest.v1+json", manifest),
                # containerd's own annotation: the whole name, where OCI's knows only a tag.
                "annotations": {
                    "io.containerd.image.name": reference,
                    "org.opencontainers.image.ref.name": reference.rsplit(":", 1)[1],
                },
            }
        ],
    }
    files = {f"blobs/sha256/{_digest(blob).removeprefix('sha256:')}": blob for blob in (layer, config_blob, manifest)}
    files |= {"index.json": _json(index), "oci-layout": _json({"imageLayoutVersion": "1.0.0"})}
    file.write_bytes(_tar([LayerFile(path, content, mode=0o644) for path, content in sorted(files.items())]))


def _layer(entries: Sequence[LayerFile]) -> bytes:
    return _tar(sorted(entries, key=lambda entry: entry.path))


def _tar(entries: Sequence[LayerFile]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.path)
            member.mode = entry.mode
            if entry.target:
                member.type, member.linkname = tarfile.SYMTYPE, entry.target
            member.size = len(entry.content)
            archive.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()


def _described(media: str, blob: bytes) -> Mapping[str, object]:
    return {"mediaType": media, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _json(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
