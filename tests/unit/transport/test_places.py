"""[user@]host[:port], as a person types it."""

from __future__ import annotations

import pytest

from bootstrap.transport.target import Destination, place_of


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s1", Destination("s1")),
        ("root@10.0.0.1", Destination("10.0.0.1", None, "root")),
        ("ops@s1.example.org:2222", Destination("s1.example.org", 2222, "ops")),
        ("[fd00::1]:2203", Destination("fd00::1", 2203)),
        ("me@[fd00::1]", Destination("fd00::1", None, "me")),
    ],
)
def test_user_host_and_port_are_told_apart(text: str, place: Destination) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize("text", ["", "root@", ":22", "s1:ssh", "fd00::1", "s1:22:23"])
def test_what_is_no_place_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="not of the form"):
        place_of(text)
