"""Files of the operator's machine that an inventory names have to be there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bootstrap.inventory.files import missing_files
from tests.unit.inventory.reading import lab, read


def missing(document: dict[str, Any]) -> list[str]:
    return [str(problem).partition(": ")[2] for problem in missing_files(read(document))]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (lab(ssh={"key": "none/id"}), "node server-1: ssh.key: none/id: there is no such file; allowed: a private key"),
        (lab(ssh={"key": "."}), "node server-1: ssh.key: .: this is a folder"),
        (
            lab(ssh={"jump": [{"host": "gate", "key": "none/id"}]}),
            "node server-1: ssh.jump.0.key: none/id: there is no",
        ),
        (
            lab(ssh={"jump": [{"host": "gate", "passphrase_from": "file:none/secret"}]}),
            "node server-1: ssh.jump.0.passphrase_from: none/secret: there is no such file",
        ),
        (
            lab(ssh={"password_from": "file:none/it"}),
            "node server-1: ssh.password_from: none/it: there is no such file",
        ),
        (lab(ssh={"passphrase_from": "file:none/it"}), "node server-1: ssh.passphrase_from: none/it: there is no such"),
        (
            lab(console={"url": "/dev/ttyS0", "password_from": "file:none/it"}),
            "node server-1: console.password_from: none/it: there is no such file; allowed: a file",
        ),
        (lab(os={"bundle": "./none"}), "os.bundle: ./none: there is no such bundle; allowed: a folder, or a file"),
        (lab(kubernetes={"source": "./none"}), "kubernetes.source: ./none: there is no such folder"),
        (lab(defaults={"ssh": {"key": "~/none"}}), "defaults.ssh.key: ~/none: there is no such file"),
        (lab(ssh={"key": f"{'x' * 200}/{'y' * 200}/../id"}), "there is no such file"),
    ],
)
def test_what_is_not_there_is_said_with_its_place(
    document: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (found,) = missing(document)
    assert said in found


def test_what_is_there_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("id", "held_by_the_agent.pub", "secret"):
        (tmp_path / name).touch()
    (tmp_path / "bundle").mkdir()
    ssh = {"key": "~/id", "password_from": "file:secret", "jump": [{"host": "gate", "key": "held_by_the_agent"}]}
    assert missing(lab(ssh=ssh, os={"bundle": "bundle"}, kubernetes={"source": "./bundle"})) == []


def test_a_key_of_all_nodes_is_named_once() -> None:
    others = [{"name": "agent-1", "address": "192.0.2.21", "ssh": {"port": 2222}}]
    assert len(missing(lab(defaults={"ssh": {"key": "/none/id"}}, others=others))) == 1
