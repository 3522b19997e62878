"""Configurations as people write them, made at random: clusterup goes where `ssh -G` says that OpenSSH goes.

CLUSTERUP_SSH_CONFIGS says how many; `scripts/compare-ssh-config` takes 2,000.
"""

from __future__ import annotations

import getpass
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.transport.ssh_config.route import route
from bootstrap.transport.target import Hop, SshTarget

COUNT = int(os.environ.get("CLUSTERUP_SSH_CONFIGS", "60"))
HOSTS = ("web", "web.example.org", "db-1", "192.0.2.7", "gate")
PATTERNS = (
    *("*", "web", "web*", "*.example.org", "db-?", "!db-1 *", "192.0.2.*", "gate", "web db-1", '"web"', "none-of-them"),
)
MATCHES = (
    *("all", "host web", "host *.example.org,gate", "originalhost db-1", "user ops", "localuser someone-else"),
    *("exec true", "exec false", 'host web exec "test -n %h"', "!host web", "originalhost web user ops"),
)
SETTINGS = (
    *("HostName 10.0.0.9", "HostName %h.lab", "Hostname=10.0.0.8", "Port 2200", "Port = 2222", "Port 22 # usual"),
    *("User ops", "user admin", 'User "deploy"', "IdentityFile ~/.ssh/lab", 'IdentityFile "/a b/key"'),
    *("IdentityFile /keys/%r@%h", "IdentityFile none", "IdentitiesOnly yes", "IdentitiesOnly no"),
    *("IdentityAgent none", "IdentityAgent /run/agent.sock", "IdentityAgent SSH_AUTH_SOCK", "ProxyJump gate"),
    *("ProxyJump none", "ProxyJump ops@gate:2201", "ProxyCommand none", "ProxyJump gate,ops@192.0.2.7"),
    *(
        "ServerAliveInterval 30",
        "ForwardAgent yes",
        "# a remark",
        "",
        "   ",
        "HashKnownHosts yes",
        "ControlMaster auto",
    ),
    *("StrictHostKeyChecking accept-new", "UserKnownHostsFile /dev/null", "LogLevel QUIET", "ConnectTimeout 5"),
)


def made(chance: random.Random, folder: Path) -> Path:
    """A configuration with a file or two that it includes."""
    others = [folder / name for name in ("more.conf", "a file.conf")]
    for other in others:
        other.write_text("\n".join(lines(chance, [], 4)) + "\n")
    config = folder / "config"
    config.write_text("\n".join(lines(chance, others, 14)) + "\n")
    return config


def lines(chance: random.Random, others: list[Path], most: int) -> Iterator[str]:
    for _ in range(chance.randint(0, most)):
        kind = chance.random()
        if kind < 0.25:
            yield f"Host {chance.choice(PATTERNS)}"
        elif kind < 0.35:
            yield f"Match {chance.choice(MATCHES)}"
        elif kind < 0.45 and others:
            yield f'{chance.choice(("", "  "))}Include "{chance.choice(others)}"'
        else:
            yield chance.choice(("", "  ", "\t")) + chance.choice(SETTINGS)


Said = dict[str, list[str]]


def openssh(config: Path, host: str, user: str | None) -> Said | None:
    """What `ssh -G` says; None where it refuses the configuration."""
    run = ["ssh", "-G", "-F", str(config), *(["-l", user] if user else []), host]
    done = subprocess.run(run, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: Said = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword, []).append(value)
    return found


def keys_of(said: Said, usual: Said) -> list[str]:
    """The files that are named, as they are opened."""
    if said["identityfile"] == usual["identityfile"]:
        return []
    filled = [name.replace("%r", said["user"][0]).replace("%h", said["hostname"][0]) for name in said["identityfile"]]
    return [str(Path(name).expanduser()) for name in filled if name != "none"]


def agent_of(said: Said) -> tuple[bool, str | None]:
    named = said.get("identityagent", ["SSH_AUTH_SOCK"])[0]
    return named != "none", None if named in ("none", "SSH_AUTH_SOCK") else named


def jumps_of(said: Said) -> int:
    named = said.get("proxyjump", ["none"])[0]
    return 0 if named == "none" else named.count(",") + 1


def differences(hop: Hop, said: Said, usual: Said) -> list[str]:
    """What is not the same."""
    # Nodes are logged in to as root where no one says otherwise, not as oneself.
    users = {said["user"][0], "root"} if said["user"][0] == getpass.getuser() else {said["user"][0]}
    compared = {
        "host": (hop.host, said["hostname"][0]),
        "port": (str(hop.port), said["port"][0]),
        "keys": ([str(key) for key in hop.keys], keys_of(said, usual)),
        "only keys": (hop.only_keys, said["identitiesonly"][0] == "yes"),
        "agent": ((hop.agent, hop.agent_socket), agent_of(said)),
    }
    found = [f"{name}: {ours} and {theirs}" for name, (ours, theirs) in compared.items() if ours != theirs]
    return found if hop.user in users else [*found, f"user: {hop.user} and {users}"]


def compared(config: Path, host: str, user: str | None, usual: Said) -> tuple[bool, list[str]]:
    """Whether clusterup refuses the configuration, and what it does otherwise than OpenSSH."""
    said = openssh(config, host, user)
    try:
        way = route(SshTarget("node1", host, user=user, config_file=config))
    except BadUse as error:
        # What is wrong with the way to a jump host is not said by `ssh -G` of the node.
        return True, [str(error)] if said is not None and jumps_of(said) == 0 else []
    if said is None:
        return False, ["ssh -G refuses it"]
    jumps = [f"jumps: {len(way) - 1} and {jumps_of(said)}"] if (len(way) > 1) != (jumps_of(said) > 0) else []
    return False, [*differences(way[-1], said, usual), *jumps]


def test_it_goes_where_openssh_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.transport.ssh_config.openssh.SYSTEM_CONFIG", tmp_path / "none")
    usual = openssh(Path(os.devnull), "any", None)
    assert usual is not None
    different: list[str] = []
    refused = 0
    for number in range(COUNT):
        chance = random.Random(number)
        folder = tmp_path / str(number)
        folder.mkdir()
        config, host, user = made(chance, folder), chance.choice(HOSTS), chance.choice((None, None, "ops"))
        no, found = compared(config, host, user, usual)
        refused += no
        different += [f"{number}: {each}" for each in found]
    print(f"{COUNT} configurations, {refused} of them refused by both, {len(different)} differences")
    assert different == []
    assert refused < COUNT / 2
