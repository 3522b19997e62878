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
        ("[127.0.0.1]", Destination("127.0.0.1")),
        ("me@fd00::1", Destination("fd00::1", None, "me")),
        ("fe80::1%eth0", Destination("fe80::1%eth0")),
    ],
)
def test_user_host_and_port_are_told_apart(text: str, place: Destination) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize(
    "text", ["", "root@", ":22", "s1:ssh", "s1:22:23", "s1:", "[fd00::1", "[s1:2]:22", "[::1]22", "::1]", "a b:c"]
)
def test_what_is_no_place_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="not of the form"):
        place_of(text)


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_there_is_not_is_said(port: str) -> None:
    with pytest.raises(ValueError, match=f"{port} is not a port from 1 to 65535"):
        place_of(f"s1:{port}")
