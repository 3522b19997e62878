"""The payload: a system extension with Kubernetes, etcd, the container runtime, the CNI plugins, HAProxy, unbound
and the tools for disk quotas.

They travel together because they depend on each other: a kubelet speaks one version of the container runtime's
interface (docs/image.md). What the micro OS has already is left out: apt resolves the packages against a list of what
is installed there.
Source: systemd-sysext(8), https://uapi-group.org/specifications/specs/extension_image/
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import Refused
from bootstrap.image.agent import agent_archive
from bootstrap.image.architecture import Architecture, is_foreign, running, tools_for
from bootstrap.image.cache import cached, content_key
from bootstrap.image.disk.gpt import copy_partition
from bootstrap.image.osimage import SUITE, TOOLS, OsImages, apt_sources, security_mirror
from bootstrap.image.programs import Programs
from bootstrap.image.trees import Log, debian_mirror, ensure_tree, run_in
from bootstrap.image.versions import numbers, sorting_key
from bootstrap.paths import cache_dir
from bootstrap.releases import KEEPS_VOTES

# Debian's next release: its components run on the C library of the image.
NEXT = "forky"
# The kubelet speaks CRI v1 alone from then on (CRI v1alpha2 is gone), and containerd 2 does so too.
CRI_V1 = 26
COMPONENTS = {
    "cni-plugins": "containernetworking-plugins",
    "containerd": "containerd",
    "etcd": "etcd-server",
    "haproxy": "haproxy",
    "quota": "quota",
    "runc": "runc",
    "unbound": "unbound",
}
# Those whose flags are looked up.
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet")
# The name under which systemd-sysext finds it; the file with its release is named after it.
NAME = "clusterup"
# Debian's units go too: clusterup's own say what runs. The shims are those of runtimes that no one starts.
NOT_NEEDED = (
    "usr/bin/containerd-shim",
    "usr/bin/containerd-shim-runc-v1",
    "usr/bin/containerd-stress",
    "usr/include",
    "usr/lib/systemd",
    "usr/lib/sysusers.d",
    "usr/lib/tmpfiles.d",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/vim",
    "usr/share/zsh",
)
# Nothing of the next release is taken that is not asked for.
PREFERENCES = f"Package: *\nPin: release n={NEXT}\nPin-Priority: 100\n"
RECIPE = """\
set -eu
cd /work
apt="apt-get -qq -o Dir::Etc::sourcelist=/work/sources.list -o Dir::Etc::sourceparts=/dev/null"
apt="$apt -o Dir::State=/work/state -o Dir::State::status=/work/status -o Dir::Cache=/work/cache"
apt="$apt -o Dir::Cache::archives=/packages -o APT::Sandbox::User=root -o APT::Install-Recommends=false"
apt="$apt -o Dir::Etc::preferences=/work/preferences -o Dir::Etc::preferencesparts=/dev/null"
apt="$apt -o APT::Architecture=$ARCHITECTURE -o APT::Architectures=$ARCHITECTURE"
mkdir -p state/lists/partial cache /packages/partial root/usr/bin
$apt update
$apt --download-only --yes install $PACKAGES
$apt --yes --simulate install $PACKAGES | sed -n 's/^Inst \\([^ ]*\\) (\\([^ ]*\\) .*/\\1 \\2/p' >installed
while read -r package version; do
    file=$(echo "$version" | sed 's/:/%3a/')
    dpkg-deb --extract /packages/"$package"_"$file"_*.deb root
done <installed
for path in $NOT_NEEDED; do rm -rf "root/$path"; done
# Debian's trees are merged: what a package still puts beside /usr belongs into it.
for folder in bin sbin lib; do
    [ ! -d root/$folder ] || { mkdir -p root/usr/$folder; cp -a root/$folder/. root/usr/$folder/; }
done
find root -mindepth 1 -maxdepth 1 ! -name usr -exec rm -rf {} +
for programs in more/*/; do [ ! -d "$programs" ] || cp -a --no-preserve=ownership "$programs." root/usr/; done
install -m 0755 kubernetes/* root/usr/bin/
# The units that come with the payload are started on micro OSes of any age, and need the agent that belongs to them.
install -D -m 0644 node.pyz root/usr/lib/clusterup/node.pyz
# What each of them knows is looked up before anything is written for it. Those of another architecture find their C
# library in the micro OS.
if [ -e os.erofs ]; then
    fsck.erofs --extract=os os.erofs >/dev/null
    export QEMU_LD_PREFIX=/work/os
fi
mkdir told
for program in $PROGRAMS; do
    root/usr/bin/$program --help >told/$program 2>&1 || { cat told/$program; exit 1; }
done
root/usr/bin/containerd config default >told/containerd.toml
release=root/usr/lib/extension-release.d
mkdir -p $release
said="kubernetes=$KUBERNETES $RELEASES"
printf 'ID=debian\\nVERSION_ID=13\\nCLUSTERUP_PAYLOAD="%s"\\n' "$said" >$release/extension-release.$NAME
mkfs.erofs --quiet -zzstd,level=6 -C65536 -Efragments,ztailpacking --all-root -T1735689600 \\
    -U 5f3c9b61-7f0e-4f52-9d6b-3f7a0d2f6c11 payload.raw root
"""


@dataclass(frozen=True, slots=True)
class Payload:
    """`file` is the extension's image (erofs), `components` the versions of what is in it, by name. `told` is a folder
    with what the programs in it say of themselves: the flags of each (a file of its name), and the settings of
    containerd (`containerd.toml`)."""

    file: Path
    components: dict[str, str]
    told: Path


def build_payload(programs: Programs, system: OsImages, log: Log) -> Payload:
    """The payload with these programs for the micro OS `system`, made where it is not in the cache yet. What they don't
    bring with them comes from Debian (see `packages_for`).

    Raises ClusterupError with the last lines of the tool that failed.
    """
    packages = packages_for(numbers(programs.release)[1], programs.components)
    more = {name: programs.components[name] for name in sorted(programs.components)}
    architecture = system.architecture
    agent = agent_archive()
    base = "".join(f"{name} {found}\n" for name, found in sorted(system.packages.items()))
    key = content_key(
        {
            "architecture": architecture.name,
            # Built once and kept under a name that says what went into it: reading its bytes would take seconds.
            "kubernetes": f"{programs.kubernetes.relative_to(cache_dir())} {programs.release}",
            "more": " ".join(
                f"{name} {found.release} {found.folder.relative_to(cache_dir())}" for name, found in more.items()
            ),
            "base": base,
            "packages": " ".join(packages),
            "mirror": str(debian_mirror()),
            "preferences": PREFERENCES,
            "agent": hashlib.sha256(agent).hexdigest(),
            "recipe": RECIPE + " ".join((*NOT_NEEDED, *PROGRAMS)),
            "suite": SUITE,
        }
    )

    def build(folder: Path) -> None:
        tree = ensure_tree("image", SUITE, tools_for(architecture, TOOLS), log=log)
        work = folder / ".work"
        work.mkdir()
        if is_foreign(architecture):
            copy_partition(system.os, "clusterup-root", work / "os.erofs")
        suites = (SUITE, NEXT) if any(package.endswith(f"/{NEXT}") for package in packages) else (SUITE,)
        (work / "sources.list").write_text(_one_line_sources(suites))
        (work / "status").write_text(installed_status(system.packages, architecture))
        (work / "preferences").write_text(PREFERENCES)
        (work / "node.pyz").write_bytes(agent)
        # Each architecture has its own: the recipe takes what is there by name and version.
        downloaded = folder.parent.parent / f"payload-packages-{architecture.name}"
        downloaded.mkdir(exist_ok=True)
        made_of = ", ".join((*more, *packages))
        log(f"building the payload for {architecture.name}: Kubernetes {programs.release}, {made_of}")
        run_in(
            tree,
            running(architecture, ["sh", "-c", RECIPE]),
            binds={
                work: "/work",
                downloaded: "/packages",
                programs.kubernetes: "/work/kubernetes",
                **{found.folder / "usr": f"/work/more/{name}" for name, found in more.items()},
            },
            env={
                "ARCHITECTURE": architecture.name,
                "PACKAGES": " ".join(packages),
                "NOT_NEEDED": " ".join(NOT_NEEDED),
                "PROGRAMS": " ".join(PROGRAMS),
                "KUBERNETES": programs.release,
                # The same for whoever makes it, wherever the parts came from.
                "RELEASES": " ".join(f"{name}={found.release}" for name, found in more.items()) or "debian",
                "NAME": NAME,
            },
            log=log,
            what="building the payload",
        )
        (work / "payload.raw").rename(folder / "payload.raw")
        (work / "told").rename(folder / "told")
        installed = dict(line.split() for line in (work / "installed").read_text().splitlines())
        components = {"kubernetes": programs.release} | {name: found.release for name, found in more.items()}
        components |= {name: release_of(installed[package]) for name, package in COMPONENTS.items() if name not in more}
        require_lasting_votes(components["etcd"])
        (folder / "payload.json").write_text(json.dumps(components, indent=1) + "\n")
        shutil.rmtree(work)

    folder = cached("payload", key, build)
    return Payload(folder / "payload.raw", json.loads((folder / "payload.json").read_text()), folder / "told")


def require_lasting_votes(etcd: str) -> None:
    """Raise Refused for an etcd that forgets who has a vote."""
    if sorting_key(etcd) < sorting_key(KEEPS_VOTES):
        raise Refused(
            f"the payload would have etcd {etcd}",
            step="image build",
            got="it does not keep a learner's promotion (etcd issue 19557)",
            hint=f"bring etcd {KEEPS_VOTES} or newer, or use a mirror of Debian whose next release ({NEXT}) has it",
        )


def packages_for(minor: int, there: Collection[str] = ()) -> tuple[str, ...]:
    """The packages, as apt-get takes them, that belong to that minor version of Kubernetes; components that are `there`
    come from elsewhere.

    etcd is the next release's in every case: before 3.5.30, a learner's promotion is not kept in the v3 store
    (https://github.com/etcd-io/etcd/issues/19557), and each of our servers begins as a learner. containerd 2, and what
    it starts, belong to the kubelets that can do without CRI v1alpha2.
    """
    of_next = {"etcd", *(("cni-plugins", "containerd", "runc") if minor >= CRI_V1 else ())}
    packages = [
        f"{package}/{NEXT}" if name in of_next else package for name, package in COMPONENTS.items() if name not in there
    ]
    return tuple(sorted((*packages, *(() if "etcd" in there else (f"etcd-client/{NEXT}",)))))


def installed_status(packages: Mapping[str, str], architecture: Architecture) -> str:
    """A list of installed packages as dpkg keeps it (deb-status(5)), so that apt leaves out what is there."""
    return "".join(
        f"Package: {name}\nStatus: install ok installed\nPriority: optional\nSection: misc\n"
        f"Maintainer: clusterup\nArchitecture: {architecture.name}\nMulti-Arch: foreign\nVersion: {version}\n"
        f"Description: part of the micro OS\n\n"
        for name, version in sorted(packages.items())
    )


def release_of(version: str) -> str:
    """The release that a Debian version stands for: "1.7.24~ds1-6+b4" is 1.7.24, "3.5.16-4" is 3.5.16."""
    plain = version.split(":", 1)[-1].rsplit("-", 1)[0]
    return plain.split("+")[0].split("~")[0]


def _one_line_sources(suites: Sequence[str]) -> str:
    """The image's APT sources, and those of further suites of the same mirror, in the one-line format, which needs no
    file name of a certain ending."""
    lines = []
    for stanza in apt_sources(debian_mirror(), security_mirror()).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        lines.append(
            f"deb [signed-by={fields['Signed-By']}] {fields['URIs']} {fields['Suites']} {fields['Components']}"
        )
    # A release that is being made says until when its lists count, and a mirror inside a closed network may be older.
    # A stable release says no such thing.
    further = [
        lines[0].replace(f" {SUITE} ", f" {suite} ").replace("]", " check-valid-until=no]", 1)
        for suite in suites
        if suite != SUITE
    ]
    return "\n".join((*lines, *further)) + "\n"
