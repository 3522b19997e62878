"""What the URL of a console means."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.inventory.serial_target import Carrier, CarrierKind, ConsoleTarget, LineEnding, carrier_of


@pytest.mark.parametrize(
    ("url", "carrier"),
    [
        ("/dev/ttyUSB0", Carrier(CarrierKind.DEVICE, place="/dev/ttyUSB0")),
        ("socket://console.example.org:7001", Carrier(CarrierKind.SOCKET, host="console.example.org", port=7001)),
        ("rfc2217://[2001:db8::1]:7001", Carrier(CarrierKind.RFC2217, host="2001:db8::1", port=7001)),
        ("telnet://192.0.2.1", Carrier(CarrierKind.TELNET, host="192.0.2.1", port=23)),
        ("telnet://192.0.2.1:2003/", Carrier(CarrierKind.TELNET, host="192.0.2.1", port=2003)),
        ("unix:/run/vm/console.sock", Carrier(CarrierKind.UNIX, place="/run/vm/console.sock")),
        ("unix:///run/vm/console.sock", Carrier(CarrierKind.UNIX, place="/run/vm/console.sock")),
        ("command: virsh console 'vm 1'", Carrier(CarrierKind.COMMAND, argv=("virsh", "console", "vm 1"))),
        ("pipe:conserver x", Carrier(CarrierKind.PIPE, argv=("conserver", "x"))),
    ],
)
def test_what_carries_a_line(url: str, carrier: Carrier) -> None:
    assert carrier_of(url) == carrier


@pytest.mark.parametrize(
    "url",
    ["", "ttyUSB0", "socket://h", "http://h:1", "telnet://h:99999", "command:", "command: 'x", "unix:relative"],
)
def test_what_is_no_console(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        carrier_of(url)


def test_one_line_has_one_identity_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to("/dev/null")
    assert carrier_of(f"{tmp_path}/by-id").identity == carrier_of("/dev/null").identity
    assert carrier_of("telnet://H:23").identity == carrier_of("rfc2217://h:23").identity
    assert carrier_of("telnet://h:23").identity != carrier_of("telnet://h:24").identity


def test_a_line_is_called_with_its_speed_where_that_is_ours() -> None:
    assert ConsoleTarget("n", "/dev/ttyS0", baud=9600).described == "/dev/ttyS0 at 9600"
    assert ConsoleTarget("n", "socket://h:1", baud=9600).described == "socket://h:1"


def test_no_password_is_shown_with_a_target() -> None:
    assert "password" not in repr(ConsoleTarget("n", "/dev/ttyS0", password=lambda: "x", root_password=lambda: "y"))


def test_what_enter_sends() -> None:
    assert [ending.sent for ending in LineEnding] == [b"\r", b"\n", b"\r\n"]
