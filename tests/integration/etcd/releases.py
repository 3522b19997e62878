"""etcd as Debian has it in two of its releases: one that forgets promotions, and the one that payloads are made of."""

from __future__ import annotations

from pathlib import Path

from bootstrap.image.cache import cached, content_key
from bootstrap.image.osimage import SUITE, TOOLS
from bootstrap.image.payload import NEXT, _one_line_sources
from bootstrap.image.trees import debian_mirror, ensure_tree, run_in

# The newest of each suite at the day it is fetched.
FETCH = """\
set -eu
cd /work
apt="apt-get -qq -o Dir::Etc::sourcelist=/work/sources.list -o Dir::Etc::sourceparts=/dev/null"
apt="$apt -o Dir::State=/work/state -o Dir::Cache=/work/cache -o APT::Sandbox::User=root"
mkdir -p state/lists/partial cache/archives/partial
$apt update
for suite in $SUITES; do
    mkdir $suite
    (cd $suite && $apt download etcd-server/$suite && dpkg-deb --extract etcd-server_*.deb .)
done
rm -r state cache
"""


def etcd_of_debian() -> tuple[Path, Path]:
    """The program of Debian 13, which forgets promotions, and that of Debian's next release."""
    suites = (SUITE, NEXT)

    def build(folder: Path) -> None:
        (folder / "sources.list").write_text(_one_line_sources(suites))
        tree = ensure_tree("image", SUITE, TOOLS, log=print)
        run_in(
            tree,
            ["sh", "-c", FETCH],
            binds={folder: "/work"},
            env={"SUITES": " ".join(suites)},
            log=print,
            what="fetching etcd",
        )

    place = cached(
        "test-etcd", content_key({"suites": " ".join(suites), "mirror": str(debian_mirror()), "do": FETCH}), build
    )
    older, newer = (place / suite / "usr/bin/etcd" for suite in suites)
    return older, newer
