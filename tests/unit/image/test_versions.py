"""The versions that decide how nodes are configured are read out of what the payload says it holds."""

from __future__ import annotations

import pytest

from bootstrap.image.versions import Versions, is_of, numbers, sorting_key, versions_of


def test_they_are_those_of_the_components() -> None:
    found = versions_of({"kubernetes": "1.36.2", "containerd": "2.1.9", "quota": "4.09", "unbound": "1.26.2"})
    assert found == Versions(36, (2, 1), unbound=True, quota=True)


def test_a_payload_that_does_not_say_its_containerd_has_the_first_that_there_was() -> None:
    assert versions_of({"kubernetes": "v1.20.2"}) == Versions(20, (1, 7), unbound=False, quota=False)


@pytest.mark.parametrize("version", ["", "1", "new", "v.1.2", "1.x"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        numbers(version)


@pytest.mark.parametrize(
    ("found", "wanted", "fits"),
    [
        ("1.36.2", "1.36.2", True),
        ("1.36.2", "1.36", True),
        ("1.36.2", "1.3", False),
        ("1.36.20", "1.36.2", False),
        ("1.37.0", "1.36", False),
    ],
)
def test_a_minor_version_stands_for_any_of_its_releases(found: str, wanted: str, fits: bool) -> None:
    assert is_of(found, wanted) is fits


def test_releases_are_sorted_by_their_numbers_and_candidates_come_before_the_release() -> None:
    releases = ["1.36.10", "1.36.2", "1.36.0", "1.36.0-rc.1", "1.9.0"]
    assert sorted(releases, key=sorting_key, reverse=True) == releases
