"""What a person asks an image to be built of is looked at before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.image import build
from bootstrap.image.architecture import AMD64
from bootstrap.image.build import build_bundle
from bootstrap.image.kubernetes_debian import BINARIES
from bootstrap.image.sources import Source, check_source


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source("upstream", ("latest",)), "'latest' is not a release of Kubernetes"),
        (Source("upstream", ("1.31",)), "Kubernetes 1.31 is not one that clusterup supports"),
        (Source("debian", ("1.36",)), "Debian has no Kubernetes 1.36"),
        (Source("debian", ("1.20", "1.36")), "Debian has one release of Kubernetes"),
        (Source(".", ("1.35", "1.36")), ". has one release of Kubernetes"),
        (Source("ubuntu"), "there is no source ubuntu"),
        (Source("./none"), "none does not hold Kubernetes"),
        (Source("."), "kubelet"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_built(
    source: Source, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    built: list[str] = []
    monkeypatch.setattr(build, "build_os", lambda architecture, _: built.append(architecture.name))
    with pytest.raises(BadUse) as refused:
        build_bundle(source, [AMD64], built.append, lambda *_: None)
    assert said in str(refused.value)
    assert built == []


def test_what_can_be_built_is_fine(tmp_path: Path) -> None:
    for name in BINARIES:
        (tmp_path / name).touch()
    for source in (
        Source(),
        Source("upstream"),
        Source("debian", ("1.20",)),
        Source("upstream", ("1.36.2", "v1.36.0-rc.1")),
        Source(str(tmp_path)),
    ):
        check_source(source)
