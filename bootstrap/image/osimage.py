"""The micro OS as a disk image, and the live environment that boots it in RAM (docs/image.md).

mkosi builds both out of templates/image inside a tools tree: one root file system, one initrd, two disks.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import bootstrap
from bootstrap.image.agent import agent_archive
from bootstrap.image.architecture import Architecture, running, tools_for
from bootstrap.image.cache import cached, content_key
from bootstrap.image.disk.gpt import GptPartition, copy_partition, read_gpt
from bootstrap.image.trees import MIRROR_FORMAT, Log, debian_mirror, ensure_tree, run_in
from bootstrap.paths import cache_dir, templates_dir

SUITE = "trixie"
AGENT = "mkosi.extra/usr/lib/clusterup/node.pyz"
TOOLS = (
    "apt",
    "bubblewrap",
    "ca-certificates",
    "cpio",
    "cryptsetup-bin",
    "dosfstools",
    "e2fsprogs",
    "erofs-utils",
    "fdisk",
    "kmod",
    "mkosi",
    "mtools",
    "python3-pefile",
    "systemd",
    "systemd-boot",
    "systemd-boot-efi",
    "systemd-repart",
    "systemd-ukify",
    "xz-utils",
    "zstd",
)
# The configuration's UUID is that of templates/image/live.repart/10-configuration.conf: a stick and a disk must not be
# mistaken. /etc is new at every boot: systemd takes what the image holds ready (cache of ld.so, accounts) for out
# of date, and makes it again (systemd-update-done.service(8)).
LIVE_COMMAND_LINE = (
    "console=tty0 console={console} oops=panic panic=10 net.ifnames=1 loglevel=5 systemd.firstboot=off "
    "systemd.gpt_auto=no systemd.default_device_timeout_sec=300 systemd.condition_needs_update=no ro clusterup.live "
    "clusterup.configuration=9e2b6f0c-5d0f-4d0b-9f39-6b2f3c1d7a02"
)
LIVE_RECIPE = """\
set -eu
cd /work
mkdir -p live/cpio/clusterup live/root/esp/EFI/BOOT
ln root.erofs live/cpio/clusterup/root.erofs
dump.erofs --cat --path=/usr/lib/systemd/boot/efi/linux$EFI.efi.stub root.erofs >stub
(cd live/cpio && find . | LC_ALL=C sort | cpio --quiet --reproducible -H newc -o -R 0:0) >live/root.cpio
ukify build --linux out/os.vmlinuz --initrd out/os.initrd --initrd live/root.cpio \
    --efi-arch $EFI --stub stub --os-release "$OS_RELEASE" --cmdline "$COMMAND_LINE" \
    --output live/root/esp/EFI/BOOT/BOOT$(echo $EFI | tr a-z A-Z).EFI
rm live/root.cpio
systemd-repart --empty=create --size=auto --dry-run=no --offline=yes --no-pager --seed="$SEED" \
    --definitions project/live.repart --root live/root out/live.raw
"""
SEED = "0b7c4f8e-5b0c-4d68-9a1f-2f6d5f0e9c22"


@dataclass(frozen=True, slots=True)
class OsImages:
    """What `build_os` made: `os` and `live` are raw disk images in `folder`.

    `packages` maps the Debian packages in the root file system to their versions.
    """

    folder: Path
    architecture: Architecture
    version: str
    packages: dict[str, str]
    os_partitions: tuple[GptPartition, ...]
    live_partitions: tuple[GptPartition, ...]

    @property
    def os(self) -> Path:
        """The installed system: GPT with ESP, CLUSTERUP, verity data and root; the rest is made at its first boot."""
        return self.folder / "os.raw"

    @property
    def live(self) -> Path:
        """The USB stick: GPT with ESP and CLUSTERUP."""
        return self.folder / "live.raw"


def build_os(architecture: Architecture, log: Log) -> OsImages:
    """The micro OS's disk image and the live environment's for machines of that architecture, built where they are not
    in the cache yet.

    Raises ClusterupError with the last lines of the tool that failed.
    """
    definitions = templates_dir() / "image"
    agent = agent_archive()
    key = content_key(
        {
            "agent": agent,
            "architecture": architecture.name,
            "definitions": definitions,
            "live": LIVE_RECIPE + LIVE_COMMAND_LINE + SEED,
            "suite": SUITE,
            "summary": "packages with versions",
            "tools": " ".join(tools_for(architecture, TOOLS)),
            "version": bootstrap.__version__,
        }
    )
    version = f"{bootstrap.__version__}-{key}"

    def build(folder: Path) -> None:
        tree = ensure_tree("image", SUITE, tools_for(architecture, TOOLS), log=log)
        work = folder / ".work"
        _prepare(work, definitions, agent)
        _run_mkosi(tree, work, version, architecture, log)
        _make_live(tree, work, version, architecture, log)
        for name in ("os.raw", "live.raw"):
            (work / "out" / name).rename(folder / name)
        manifest = json.loads((work / "out" / "os.manifest").read_text())
        packages = {package["name"]: package["version"] for package in manifest["packages"]}
        summary = {"version": version, "packages": packages}
        (folder / "os.json").write_text(json.dumps(summary, indent=1) + "\n")
        shutil.rmtree(work)

    return _load(cached("os", key, build), architecture)


def _load(folder: Path, architecture: Architecture) -> OsImages:
    summary = json.loads((folder / "os.json").read_text())
    return OsImages(
        folder=folder,
        architecture=architecture,
        version=summary["version"],
        packages=summary["packages"],
        os_partitions=read_gpt(folder / "os.raw"),
        live_partitions=read_gpt(folder / "live.raw"),
    )


def _prepare(work: Path, definitions: Path, agent: bytes) -> None:
    """Fill the work folder: a copy of the definitions with the node's agent and the list of APT sources."""
    project = work / "project"
    shutil.copytree(definitions, project)
    (project / AGENT).write_bytes(agent)
    sources = project / "mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources"
    sources.parent.mkdir(parents=True)
    sources.write_text(apt_sources(debian_mirror(), security_mirror()))
    # Git keeps only the execute bit, and an operator's umask must not reach the image.
    for path in [project, *project.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    (work / "out").mkdir()
    (work / "workspace").mkdir()


def apt_sources(mirror: str | None, security: str | None) -> str:
    """The APT sources (deb822) of an image. None for `mirror` is Debian's own, None for `security` leaves it out."""
    archives = [(mirror or "http://deb.debian.org/debian", SUITE)]
    if security:
        archives.append((security, f"{SUITE}-security"))
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        for uri, suite in archives
    )


def security_mirror() -> str | None:
    """Where the host's own apt gets Debian's security updates, or None where it names no such place."""
    if shutil.which("apt-get") is None:
        return None
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", MIRROR_FORMAT], capture_output=True, text=True, check=False
    )
    for line in answer.stdout.splitlines():
        uri, release, component, created_by = line.split("|")
        if component == "main" and created_by == "Packages" and release.endswith("-security"):
            return uri.rstrip("/")
    return None


def _run_mkosi(tree: Path, work: Path, version: str, architecture: Architecture, log: Log) -> None:
    packages = cache_dir() / f"debian-packages-{architecture.name}"
    packages.mkdir(parents=True, exist_ok=True)
    log(f"building the micro OS {version} for {architecture.name}")
    run_in(
        tree,
        running(
            architecture,
            [
                "mkosi",
                "--directory=/work/project",
                f"--architecture={architecture.systemd}",
                "--output-directory=/work/out",
                "--workspace-directory=/work/workspace",
                "--package-cache-directory=/packages",
                f"--image-version={version}",
                "build",
            ],
        ),
        binds={work: "/work", packages: "/packages"},
        log=log,
        what="building the micro OS",
    )


def _make_live(tree: Path, work: Path, version: str, architecture: Architecture, log: Log) -> None:
    log(f"building the live environment for {architecture.name}")
    copy_partition(work / "out/os.raw", "clusterup-root", work / "root.erofs")
    release = (
        f'ID=clusterup\nPRETTY_NAME="clusterup {version} live"\n'
        f"IMAGE_ID=clusterup\nIMAGE_VERSION={version}\nVARIANT_ID=live\n"
    )
    run_in(
        tree,
        ["sh", "-c", LIVE_RECIPE],
        binds={work: "/work"},
        env={
            "COMMAND_LINE": LIVE_COMMAND_LINE.format(console=architecture.console),
            "EFI": architecture.efi,
            "OS_RELEASE": release,
            "SEED": SEED,
            "SYSTEMD_REPART_MKFS_OPTIONS_VFAT": "-S 512 -s 2",
        },
        log=log,
        what="building the live environment",
    )
