"""Nothing that opens a cluster is in what is given away."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bootstrap.pki.encryption import new_encryption_key
from bootstrap.pki.kubeconfig import client_kubeconfig, to_yaml
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.pki.x509 import new_authority
from bootstrap.support.node import parts_in
from bootstrap.support.objects import KINDS, taken
from bootstrap.support.secrets import SHORTEST, Scrubber, known_secrets

TOKEN = "abcdef.0123456789abcdef"
JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder with each kind of secret that a cluster's state has, and with what is public."""
    authority, ssh = new_authority("kubernetes"), new_ssh_key()
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/ca.key").write_bytes(authority.key_pem)
    (tmp_path / "pki/ca.crt").write_bytes(authority.cert_pem)
    (tmp_path / "id_ed25519").write_bytes(ssh.private)
    (tmp_path / "id_ed25519.pub").write_text(ssh.public)
    (tmp_path / "encryption-key").write_bytes(new_encryption_key())
    kubeconfig = client_kubeconfig("lab", "https://10.0.0.1:6443", authority.cert_pem, "admin", authority)
    (tmp_path / "admin.kubeconfig").write_bytes(to_yaml(kubeconfig))
    return tmp_path


def private_lines(file: Path) -> list[str]:
    """The lines of a private key, without its head and end."""
    return [line for line in file.read_text().splitlines() if not line.startswith("---") and len(line) >= SHORTEST]


@pytest.mark.parametrize("name", ["pki/ca.key", "id_ed25519"])
def test_no_line_of_a_private_key_is_left_wherever_it_stands(state: Path, name: str) -> None:
    scrubber = Scrubber(known_secrets(state))
    content = (state / name).read_text()
    forms = (
        content,
        content.replace("\n", "\\n"),
        " ".join(content.split()),
        base64.b64encode(content.encode()).decode(),
        "\n".join(f"Nov 30 12:00 server-1 logs: {line}" for line in content.splitlines()),
    )
    for form in forms:
        cleaned = scrubber.cleaned(f"before {form} after")
        assert [line for line in private_lines(state / name) if line in cleaned] == []
        assert base64.b64encode(content.encode()).decode() not in cleaned


def test_the_key_of_secrets_and_a_kubeconfig_s_are_known(state: Path) -> None:
    scrubber = Scrubber(known_secrets(state))
    key = (state / "encryption-key").read_text().strip()
    data = next(
        line.split(": ")[1]
        for line in (state / "admin.kubeconfig").read_text().splitlines()
        if "client-key-data" in line
    )
    for secret in (key, data):
        assert secret not in scrubber.cleaned(f"a log says {secret} by chance")


def test_what_is_public_stays(state: Path) -> None:
    scrubber = Scrubber(known_secrets(state))
    for name in ("pki/ca.crt", "id_ed25519.pub"):
        content = (state / name).read_text()
        assert scrubber.cleaned(content) == content


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"join with {TOKEN} now", TOKEN),
        (f"Authorization: Bearer {JWT}", JWT),
        ("authorization: basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
        ("https://user:hunter2hunter2@example.org/", "hunter2hunter2"),
        ("password: correct-horse", "correct-horse"),
        ('"ADMIN_PASSWORD": "correct-horse",', "correct-horse"),
        ("--token=0123456789abcdef0123", "0123456789abcdef0123"),
        ("aws_secret_access_key=wJalrXUtnFEMIK7MDENG", "wJalrXUtnFEMIK7MDENG"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "MIIEowIBAAKCAQEA"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk cut off", "b3BlbnNzaC1rZXk"),
    ],
)
def test_what_looks_like_a_secret_goes_though_nobody_knows_it(text: str, secret: str) -> None:
    cleaned = Scrubber().cleaned(text)
    assert secret not in cleaned
    assert "[removed: " in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "password_from: env:LAB_PASSWORD",
        "password_from: prompt",
        "automountServiceAccountToken: false",
        "secretName: null",
        "kubelet.service: active (running)",
        "10.77.0.11:6443 is ready",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert Scrubber().cleaned(text) == text


def test_an_object_keeps_its_state_and_nothing_that_people_put_into_it() -> None:
    pod = {
        "metadata": {"name": "shop", "namespace": "web", "annotations": {"note": "secret words"}},
        "spec": {
            "nodeName": "a1",
            "containers": [{"env": [{"name": "KEY", "value": "secret words"}], "args": ["secret words"]}],
        },
        "status": {"phase": "Running", "containerStatuses": [{"restartCount": 3}]},
    }
    found = taken(pod, KINDS["Pod"])
    assert "secret words" not in str(found)
    assert found["metadata"] == {"name": "shop", "namespace": "web"}
    assert found["spec"] == {"nodeName": "a1"}
    assert found["status"] == {"phase": "Running", "containerStatuses": [{"restartCount": 3}]}


def test_parts_of_what_a_node_says_are_files_and_their_names_lead_nowhere() -> None:
    said = "noise\nmark system.txt\nLinux\n\nmark ../../etc/passwd\nroot\nmark ..\nx\nmark etcd.log\nlast"
    assert parts_in(said, "mark") == {"system.txt": "Linux\n\n", "etcd.log": "last"}
