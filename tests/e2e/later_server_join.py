"""A bare machine that is in nobody's inventory joins as a server with a token, from a machine that has no key of the
cluster: that one is an operator's afterwards.

Not part of every run until it was seen to its end on machines: `scripts/test tests/e2e/later_server_join.py`. It makes
a lab of its own: one machine is a cluster, the other one joins it.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import SERVERS, Operator, machines

pytestmark = pytest.mark.e2e
FIRST, JOINS = SERVERS[:2]
Lab = tuple[Operator, dict[str, Any], Operator]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster of one server, how the machine is reached that is in its lab and not in its inventory, and somebody who
    has nothing of the cluster."""
    folder = tmp_path_factory.mktemp("server-join")
    operator = Operator(folder, folder / "state", "join2")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with machines(operator, "--servers", "2", "--agents", "0"):
        way = node_of(operator, JOINS)

        def alone(content: dict[str, Any]) -> None:
            content["nodes"] = [node for node in content["nodes"] if node["name"] == FIRST]
            content["cluster"].pop("allow_even_servers")

        operator.edits(alone)
        operator.clusterup("apply", "lab.yaml", "--yes")
        yield operator, way, Operator(elsewhere, elsewhere / "state", "join2")


def node_of(operator: Operator, name: str) -> dict[str, Any]:
    (found,) = [node for node in yaml.safe_load(operator.inventory.read_text())["nodes"] if node["name"] == name]
    return dict(found)


def made(operator: Operator) -> dict[str, Any]:
    """A server's token, and what is printed with it."""
    said = operator.clusterup("token", "create", "lab.yaml", "--role", "server", "-o", "json")
    return dict(json.loads(said))


def command(operator: Operator, way: dict[str, Any], token: dict[str, Any], *more: str) -> list[str]:
    """What is typed; the token comes from the environment. A lab's servers are reached at its balancer's port."""
    endpoint = yaml.safe_load(operator.inventory.read_text())["cluster"]["endpoint"]
    ssh = way["ssh"]
    cards = [f"{card['mac']}={'dhcp' if card.get('dhcp') else card['addresses'][0]}" for card in way["interfaces"]]
    return [
        *("join", f"{ssh['user']}@{ssh['host']}:{ssh['port']}", "--name", JOINS, "--address", way["address"]),
        *("--server", f"https://{endpoint}", "--ca-cert-hash", token["ca_cert_hash"], "--disk", way["disk"]),
        *(word for card in cards for word in ("--interface", card)),
        *("--key", ssh["key"], "--host-key", ssh["host_key"], "--inventory", "lab.yaml", "--yes", *more),
    ]


def voters(operator: Operator) -> set[str]:
    return {member["name"] for member in operator.status()["etcd"] if member["voter"]}


def test_a_bare_machine_joins_as_a_server_and_who_joined_it_is_an_operator(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, way, other = lab
    token = made(operator)
    monkeypatch.setitem(os.environ, "CLUSTERUP_TOKEN", token["token"])
    planned = other.runs(*command(operator, way, token, "--dry-run"))
    assert planned.returncode == 0, planned.stderr
    assert not other.inventory.exists()
    began = time.monotonic()
    joined = other.runs(*command(operator, way, token))
    assert joined.returncode == 0, joined.stderr
    sys.stdout.write(f"joined within {time.monotonic() - began:.0f} s, installation and boot included\n")
    assert f"{JOINS} is a server of the cluster join2" in joined.stdout
    assert "until a third one has joined, no failure is tolerated" in joined.stderr
    assert voters(other) == {FIRST, JOINS}
    assert other.status()["healthy"]
    assert "nothing to do" in other.clusterup("plan", "lab.yaml")
    again = other.runs(*command(operator, way, token))
    assert again.returncode == 4
    assert f"clusterup apply {other.inventory} goes on" in again.stderr
    secret = token["token"].partition(".")[2]
    for file in [path for path in other.state.rglob("*") if path.is_file()]:
        assert secret not in file.read_text(errors="replace"), file
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_the_first_operator_hears_of_it_and_adopts_what_there_is(lab: Lab) -> None:
    operator, _, other = lab
    assert "another operator may have applied since" in operator.clusterup("plan", "lab.yaml")
    key = str(other.kept / "ssh" / "id_ed25519")
    node = node_of(other, FIRST)
    place = f"root@{node['ssh']['host']}:{node['ssh']['port']}"
    host_key = (operator.kept / "nodes" / FIRST / "ssh_host_ed25519_key.pub").read_text().strip()
    operator.inventory.unlink()
    operator.clusterup("adopt", place, "--key", key, "--host-key", host_key, "--inventory", "lab.yaml", "--refresh")
    assert operator.inventory.read_bytes() == other.inventory.read_bytes()
    assert "nothing to do" in operator.clusterup("plan", "lab.yaml")


def test_it_is_taken_out_again_by_who_joined_it(lab: Lab) -> None:
    other = lab[2]
    other.clusterup("remove", JOINS, "lab.yaml", "--yes")
    assert voters(other) == {FIRST}
