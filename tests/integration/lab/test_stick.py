"""What the live environment finds on its stick."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from bootstrap.lab.spec import Lab
from tests.integration.lab.conftest import LIVE_PARTITION, Bench


def etc_of(lab: Lab, node: str, folder: Path) -> dict[str, tuple[int, bytes]]:
    stick = lab.folder / node / "stick.raw"
    tar = subprocess.run(
        ["mtype", "-i", f"{stick}@@{LIVE_PARTITION.offset}", "::etc.tar"], capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        found = {}
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None
            found[entry.name] = (entry.mode, content.read())
        return found


def test_it_lets_the_operator_in_and_shows_the_host_key_that_the_inventory_pins(bench: Bench) -> None:
    lab = bench.up()
    etc = etc_of(lab, "server-1", bench.folder)
    operator = lab.key_file.with_name("id_ed25519.pub").read_text().strip()
    assert etc["ssh/authorized_keys.d/root"] == (0o600, f"{operator}\n".encode())
    assert etc["ssh/ssh_host_ed25519_key.pub"][1].decode().strip() == lab.machine("server-1").host_key
    mode, private = etc["ssh/ssh_host_ed25519_key"]
    assert mode == 0o600
    key = bench.folder / "key"
    key.write_bytes(private)
    key.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout.strip()
    assert public == lab.machine("server-1").host_key


def test_machines_have_machine_ids_and_host_keys_of_their_own(bench: Bench) -> None:
    lab = bench.up()
    server, agent = (etc_of(lab, node, bench.folder) for node in ("server-1", "agent-1"))
    for name in ("machine-id", "ssh/ssh_host_ed25519_key"):
        assert server[name] != agent[name]
    assert len(server["machine-id"][1].decode().strip()) == 32


def test_its_cards_are_set_up_by_hardware_address(bench: Bench) -> None:
    lab = bench.up()
    machine = lab.machine("agent-1")
    etc = etc_of(lab, "agent-1", bench.folder)
    private = etc[f"systemd/network/10-{machine.private_mac.replace(':', '')}.network"][1].decode()
    assert f"MACAddress={machine.private_mac}\n" in private
    assert "Address=10.77.0.21/24\n" in private
    assert "DHCP=no\n" in private
    access = etc[f"systemd/network/10-{machine.access_mac.replace(':', '')}.network"][1].decode()
    assert "DHCP=ipv4\n" in access


def test_the_rest_of_the_stick_is_the_bundles_live_image(bench: Bench) -> None:
    lab = bench.up()
    live = (bench.folder / "bundle" / "live.raw").read_bytes()
    stick = (lab.folder / "server-1" / "stick.raw").read_bytes()
    start, end = LIVE_PARTITION.offset, LIVE_PARTITION.offset + LIVE_PARTITION.size
    assert len(stick) == len(live)
    assert stick[:start] == live[:start]
    assert stick[end:] == live[end:]
    assert stick[start:end] != live[start:end]
