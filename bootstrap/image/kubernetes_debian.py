"""Kubernetes built from Debian's own source package: complete, vendored, and reached by any Debian mirror.

The build runs in a bookworm tree, with bookworm's Go: what comes out depends on Debian alone.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.image.architecture import AMD64, Architecture
from bootstrap.image.cache import cached, content_key
from bootstrap.image.trees import Log, ensure_tree, run_in
from bootstrap.paths import templates_dir

BINARIES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubeadm",
    "kubectl",
)
SUITE = "bookworm"
PACKAGES = ("golang-go", "make", "rsync", "jq", "dpkg-dev", "ca-certificates")
RECIPE = """\
set -eu
export GOPATH=/build/go GOCACHE=/build/cache HOME=/build GO111MODULE=off CGO_ENABLED=0 GOFLAGS=-trimpath
mkdir -p $GOPATH/src/k8s.io
cd /build
ln -sfn /build/source $GOPATH/src/k8s.io/kubernetes
cd $GOPATH/src/k8s.io/kubernetes
for p in /patches/*.patch; do
    echo "applying ${p##*/}"
    patch --quiet --strip=1 --fuzz=0 <"$p"
done
echo "generating code"
make generated_files
p=k8s.io/component-base/version
c=k8s.io/client-go/pkg/version
stamp=""
for v in $p k8s.io/kubernetes/vendor/$p $c k8s.io/kubernetes/vendor/$c; do
    stamp="$stamp -X $v.gitVersion=v$VERSION -X $v.gitMajor=${VERSION%%.*} -X $v.gitMinor=$MINOR"
    stamp="$stamp -X $v.gitTreeState=clean -X $v.buildDate=1970-01-01T00:00:00Z -X $v.gitCommit=debian"
done
for b in $BINARIES; do
    echo "building $b"
    go build -ldflags "-s -w -buildid= $stamp" -o /out/$b k8s.io/kubernetes/cmd/$b
done
"""


def debian_version(tree: Path, log: Log) -> str:
    """The version of Debian's source package, as in "1.20.5+really1.20.2-1.1"."""
    answer = run_in(tree, ["apt-cache", "showsrc", "--only-source", "kubernetes"], log=lambda _: None)
    found = re.search(r"^Version: (\S+)$", answer, re.MULTILINE)
    if found is None:
        raise ClusterupError(
            "the Debian mirror has no source package 'kubernetes'",
            step="image build",
            tried=f"apt-cache showsrc kubernetes ({SUITE})",
            got=answer[-200:] or "nothing",
            hint="use a mirror that carries deb-src lines, or kubernetes.source: upstream",
        )
    log(f"Debian's source package: kubernetes {found[1]}")
    return found[1]


def kubernetes_version(package_version: str) -> str:
    """The release inside a Debian version: "1.20.5+really1.20.2-1.1" is 1.20.2."""
    upstream = package_version.rsplit("-", 1)[0]
    return upstream.rsplit("really", 1)[-1].split("+")[0]


def build_kubernetes(architecture: Architecture, log: Log) -> tuple[Path, str]:
    """The folder with Kubernetes' binaries for that architecture, and their version, as in "1.20.2"; built where not
    cached yet.

    Raises ClusterupError when the source can't be fetched or does not build.
    """
    tree = ensure_tree("go", SUITE, PACKAGES, log=log, components=("deb", "deb-src"))
    package = debian_version(tree, log)
    version = kubernetes_version(package)
    patches = templates_dir() / "kubernetes-source"
    # What generates code on the way runs here.
    recipe = RECIPE.replace("go build", "go build" if architecture == AMD64 else f"GOARCH={architecture.name} go build")
    key = content_key(
        {
            "source": package,
            "suite": SUITE,
            "recipe": recipe,
            "binaries": " ".join(BINARIES),
            "patches": patches,
        }
    )

    def build(folder: Path) -> None:
        work = folder / ".work"
        work.mkdir()
        out = folder / "bin"
        out.mkdir()
        binds = {work: "/build", out: "/out", patches: "/patches"}
        fetch = "set -eu; cd /build; apt-get source -qq --only-source kubernetes; mv kubernetes-*/ source"
        run_in(tree, ["sh", "-c", fetch], binds=binds, log=log, what="fetching Kubernetes' source package")
        environment = {"VERSION": version, "MINOR": version.split(".")[1], "BINARIES": " ".join(BINARIES)}
        run_in(tree, ["sh", "-c", recipe], binds=binds, env=environment, log=log, what="building Kubernetes")
        shutil.rmtree(work)

    return cached("kubernetes-debian", key, build) / "bin", version
