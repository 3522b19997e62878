"""Bootstrap tokens and kubeconfigs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from bootstrap.errors import BadUse
from bootstrap.pki.kubeconfig import client_kubeconfig, write_kubeconfig
from bootstrap.pki.token import cluster_info, new_token, parse_token, token_secret
from bootstrap.pki.x509 import KeyPair
from bootstrap.protocol.token import Token, detached_signature, signature_is_good

TOKEN = Token("abcdef", "0123456789abcdef")


def test_a_new_token_has_kubeadm_s_format() -> None:
    token = new_token()
    assert parse_token(token.reveal()) == token
    assert new_token() != token


@pytest.mark.parametrize("text", ["", "abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcde", "a.b.c"])
def test_what_is_no_token_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(BadUse) as refused:
        parse_token(text)
    assert "clusterup token create" in str(refused.value)
    assert not text or text not in str(refused.value)


def test_a_token_s_secret_shows_only_when_asked_for() -> None:
    assert TOKEN.secret not in repr(TOKEN) + str(TOKEN)
    assert TOKEN.reveal() == "abcdef.0123456789abcdef"


def test_the_secret_object_is_the_one_that_the_bootstrap_authenticator_reads() -> None:
    made = token_secret(TOKEN, expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), description="for s2")
    data = {key: base64.b64decode(value).decode() for key, value in made["data"].items()}
    assert made["metadata"] == {"name": "bootstrap-token-abcdef", "namespace": "kube-system"}
    assert data["expiration"] == "2030-01-02T03:04:05Z"
    assert data["usage-bootstrap-authentication"] == data["usage-bootstrap-signing"] == "true"
    assert data["auth-extra-groups"] == "system:bootstrappers:kubeadm:default-node-token"


def test_a_signature_is_a_json_web_signature_without_its_payload() -> None:
    content = cluster_info("https://10.0.0.1:6443", b"PEM")["data"]["kubeconfig"]
    header, empty, signature = detached_signature(content, TOKEN).split(".")
    assert empty == ""
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"HS256","kid":"abcdef"}'
    payload = base64.urlsafe_b64encode(content.encode()).rstrip(b"=")
    expected = hmac.new(TOKEN.secret.encode(), header.encode() + b"." + payload, hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "=") == expected


def test_a_signature_of_another_token_or_text_is_refused() -> None:
    good = detached_signature("text", TOKEN)
    assert signature_is_good("text", good, TOKEN)
    assert not signature_is_good("texT", good, TOKEN)
    assert not signature_is_good("text", good, Token("abcdef", "x" * 16))


def kubeconfig(name: str) -> dict[str, object]:
    return client_kubeconfig(name, f"https://{name}:6443", b"CA", "admin", KeyPair(b"CERT", b"KEY"))


def test_a_kubeconfig_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config"
    write_kubeconfig(path, kubeconfig("lab"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert yaml.safe_load(path.read_text())["current-context"] == "lab"
