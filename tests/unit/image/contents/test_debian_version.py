"""Versions of Debian packages are ordered as dpkg orders them."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.image.contents.debian_version import DebianVersion

PIECES = st.text("0123456789abz.+~", min_size=0, max_size=6)
VERSIONS = st.builds(
    lambda epoch, upstream, revision: f"{epoch}{upstream}{revision}",
    st.sampled_from(["", "0:", "1:"]),
    PIECES.map(lambda text: f"1{text}"),
    PIECES.map(lambda text: f"-{text}" if text else ""),
)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("1.9", "1.10"),
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0+b1"),
        ("1.0", "1.0.1"),
        ("3.0", "1:2.0"),
        ("5.2-1", "5.2-1+deb13u1"),
        ("5.2-1~bpo13+1", "5.2-1"),
        ("6.12.9-1", "6.12.48-1"),
        ("1.0a", "1.0+"),
    ],
)
def test_the_later_one_is_known(earlier: str, later: str) -> None:
    assert DebianVersion(earlier) < DebianVersion(later)
    assert not DebianVersion(later) < DebianVersion(earlier)


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.0-0"), ("1.00", "1.0"), ("0:1", "1")])
def test_the_same_version_may_be_written_in_two_ways(one: str, other: str) -> None:
    assert DebianVersion(one) == DebianVersion(other)
    assert hash(DebianVersion(one)) == hash(DebianVersion(other))


def test_numbers_may_be_as_long_as_somebody_writes_them() -> None:
    assert DebianVersion("1" * 10_000) < DebianVersion("2" * 10_000)


@settings(max_examples=150, deadline=None)
@given(VERSIONS, VERSIONS)
def test_dpkg_says_the_same_of_any_two(one: str, other: str) -> None:
    said = subprocess.run(["dpkg", "--compare-versions", one, "lt", other], capture_output=True, check=False)
    assert (DebianVersion(one) < DebianVersion(other)) == (said.returncode == 0)
