"""What is other in one bundle than in another, and which faults of security are gone."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.image.bundle import Bundle
from bootstrap.image.contents.difference import Changed, difference
from bootstrap.image.contents.packages import ARTIFACT, FILE, Package, _package, packages_of
from bootstrap.image.contents.tracker import Known, Tracker, read_tracker
from bootstrap.image.files import bundle_as_data
from bootstrap.image.manifest import write_manifest
from bootstrap.image.osimage import SUITE

OLD = {"openssl": ("3.5.0-1", "openssl"), "libssl3": ("3.5.0-1", "openssl"), "gone": ("1", "gone")}
NEW = {"openssl": ("3.5.1-1", "openssl"), "libssl3": ("3.5.1-1", "openssl"), "more": ("2", "more")}


def bundle(folder: Path, version: str, kubernetes: str, packages: Mapping[str, tuple[str, str]] | None) -> Bundle:
    """A bundle with a payload, and with a list of packages where one is said: versions and sources by name."""
    folder.mkdir()
    (folder / "payload.raw").write_bytes(kubernetes.encode())
    parts = [bundle_as_data("payload", folder / "payload.raw", components={"kubernetes": kubernetes, "packages": "1"})]
    if packages is not None:
        listed = {
            name: {"version": release, "source": source, "source_version": release}
            for name, (release, source) in packages.items()
        }
        (folder / FILE).write_text(json.dumps({"format": 1, "suite": SUITE, "packages": listed}))
        parts.append(bundle_as_data(ARTIFACT, folder / FILE))
    made = Bundle(folder, version, {part.name: part for part in parts})
    write_manifest(made)
    return made


@pytest.fixture
def both(tmp_path: Path) -> tuple[Bundle, Bundle]:
    """An older and a newer one."""
    return bundle(tmp_path / "old", "1", "1.36.1", OLD), bundle(tmp_path / "new", "2", "1.36.2", NEW)


@pytest.fixture
def tracker(tmp_path: Path) -> Path:
    """What Debian's security tracker might say."""

    def fault(status: str, fixed: str | None) -> dict[str, object]:
        release = {"status": status, **({} if fixed is None else {"fixed_version": fixed})}
        return {"releases": {SUITE: release, "sid": {"status": "resolved", "fixed_version": "9"}}}

    said = {
        "openssl": {
            "CVE-2026-1": fault("resolved", "3.5.1-1"),
            "CVE-2026-2": fault("resolved", "3.4.0-1"),
            "CVE-2026-3": fault("open", None),
            "CVE-2026-4": fault("resolved", "0"),
            "CVE-2026-5": {"releases": {"bookworm": {"status": "open"}}},
        },
        "more": {"CVE-2026-6": fault("resolved", "3")},
    }
    file = tmp_path / "data.json"
    file.write_text(json.dumps(said))
    return file


def test_releases_and_packages_that_are_other_are_named(both: tuple[Bundle, Bundle]) -> None:
    found = difference(*both)
    assert found.parts == {"payload": (Changed("kubernetes", "1.36.1", "1.36.2"),)}
    assert found.packages is not None
    assert [(each.name, each.old, each.new) for each in found.packages] == [
        ("gone", "1", ""),
        ("libssl3", "3.5.0-1", "3.5.1-1"),
        ("more", "", "2"),
        ("openssl", "3.5.0-1", "3.5.1-1"),
    ]


def test_faults_that_are_gone_and_that_are_there_still_are_told_apart(
    both: tuple[Bundle, Bundle], tracker: Path
) -> None:
    found = difference(*both, read_tracker(tracker))
    assert found.fixed == {"openssl": ("CVE-2026-1",)}
    assert found.open == {"more": ("CVE-2026-6",), "openssl": ("CVE-2026-3",)}
    assert found.unknown == 0


def test_a_kernel_s_package_has_another_name_each_time_and_its_faults_are_told_all_the_same(tmp_path: Path) -> None:
    old = bundle(tmp_path / "old", "1", "1.36.1", {"linux-image-6.12.1": ("6.12.1-1", "linux")})
    new = bundle(tmp_path / "new", "2", "1.36.1", {"linux-image-6.12.9": ("6.12.9-1", "linux")})
    found = difference(old, new, Tracker({"linux": (Known("CVE-2026-7", "linux", "6.12.5-1"),)}))
    assert found.fixed == {"linux": ("CVE-2026-7",)}
    fields = "field Package: linux-image-6.12.9\nfield Version: 6.12.9-1\nfield Source: linux-signed-amd64 (6.12.9+1)"
    assert _package(fields)[1] == Package("6.12.9-1", "linux", "6.12.9-1")


def test_packages_whose_source_is_not_known_are_counted_where_faults_are_told(tmp_path: Path) -> None:
    one = bundle(tmp_path / "one", "1", "1.36.1", {"libssl3": ("3.5.0-1", "")})
    assert difference(one, one, Tracker({})).unknown == 1
    assert difference(one, one).unknown == 0


def test_parts_that_are_new_or_gone_are_named_and_lists_for_other_architectures_compared(
    both: tuple[Bundle, Bundle],
) -> None:
    old, new = both
    payload = old.artifacts["payload"]
    other = dataclasses.replace(new.artifacts[ARTIFACT], name=f"arm64/{ARTIFACT}")
    old = dataclasses.replace(old, artifacts={**old.artifacts, "live": dataclasses.replace(payload, name="live")})
    new = dataclasses.replace(new, artifacts={**new.artifacts, other.name: other, "image/pause": payload})
    found = difference(old, new)
    assert (found.added, found.removed) == (("image/pause",), ("live",))
    assert found.packages is not None
    assert ("arm64/more", "", "2") in [(each.name, each.old, each.new) for each in found.packages]


def test_the_same_bundle_twice_differs_in_nothing(both: tuple[Bundle, Bundle]) -> None:
    found = difference(both[0], both[0])
    assert (found.parts, found.other_bytes, found.packages) == ({}, (), ())


def test_a_release_that_goes_back_is_said_to(both: tuple[Bundle, Bundle]) -> None:
    new, old = both
    (changed,) = difference(old, new).parts["payload"]
    assert changed.goes_back


def test_a_bundle_without_a_list_is_said_to_have_none(tmp_path: Path, both: tuple[Bundle, Bundle]) -> None:
    before = bundle(tmp_path / "before", "0", "1.36.0", None)
    assert packages_of(before) is None
    assert difference(before, both[1]).packages is None


def test_a_list_that_can_t_be_read_is_said_in_words(both: tuple[Bundle, Bundle]) -> None:
    file = both[0].directory / FILE
    file.write_text("{}")
    with pytest.raises(Refused, match=f"{FILE} is not the one its manifest names"):
        difference(*both)
    odd = dataclasses.replace(both[0], artifacts={ARTIFACT: bundle_as_data(ARTIFACT, file)})
    with pytest.raises(ClusterupError, match="list of packages can't be read"):
        difference(odd, both[1])


@pytest.mark.parametrize("content", [b"", b"[]", b'{"openssl": 1}', b"[" * 100_000])
def test_a_file_that_is_not_the_tracker_s_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "data.json"
    file.write_bytes(content)
    with pytest.raises(BadUse, match="is not the file of Debian's security tracker"):
        read_tracker(file)


def test_a_package_is_known_by_the_source_that_it_is_made_of() -> None:
    fields = "field Package: libssl3t64\nfield Version: 3.5.1-1+b2\nfield Source: openssl (3.5.1-1)"
    assert _package(fields) == (("libssl3t64", "3.5.1-1+b2"), Package("3.5.1-1+b2", "openssl", "3.5.1-1"))
    alone = "\nfield Package: bash\nfield Version: 5.2-1"
    assert _package(alone) == (("bash", "5.2-1"), Package("5.2-1", "bash", "5.2-1"))


def test_nothing_is_known_of_a_source_that_the_tracker_does_not_have() -> None:
    package = Package("1", "unknown", "1")
    assert Tracker({}).open_in(package.source, package.version) == frozenset()


def test_it_is_shown_as_a_user_types_it(both: tuple[Bundle, Bundle], tracker: Path) -> None:
    command = [sys.executable, "-c", "from bootstrap.cli.start import start; start()", "bundle", "diff"]
    folders = [str(each.directory) for each in both]
    done = subprocess.run([*command, *folders, "--tracker", str(tracker)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "1 -> 2",
        "  payload",
        "    kubernetes 1.36.1 -> 1.36.2",
        "packages of the micro OS: 4 are other",
        "  gone 1 -> (gone)",
        "  libssl3 3.5.0-1 -> 3.5.1-1",
        "  more (was not there) -> 2",
        "  openssl 3.5.0-1 -> 3.5.1-1",
        "faults of security that are fixed: 1",
        "  openssl: CVE-2026-1",
        "faults that Debian knows of, and that the new one has: 2",
        "  more: CVE-2026-6",
        "  openssl: CVE-2026-3",
    ]
