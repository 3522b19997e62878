"""Secrets come from the environment, a private file or the terminal, and are read once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.transport.secrets import secret_source


def test_from_the_environment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_PASSWORD", "s3cret")
    secret = secret_source("env:NODE_PASSWORD", "password of node1")
    assert secret() == "s3cret"
    monkeypatch.delenv("NODE_PASSWORD")
    assert secret() == "s3cret"
    with pytest.raises(BadUse, match=r"password of node1 .* NODE_PASSWORD, which is not set"):
        secret_source("env:NODE_PASSWORD", "password of node1")()


def test_from_the_first_line_of_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(" s3 cret \nmore\n")
    path.chmod(0o600)
    assert secret_source(f"file:{path}", "password")() == " s3 cret "
    path.chmod(0o644)
    with pytest.raises(BadUse, match="anyone may read it") as refused:
        secret_source(f"file:{path}", "password")()
    assert "s3 cret" not in str(refused.value)
    path.write_text("")
    path.chmod(0o600)
    with pytest.raises(BadUse, match="first line is empty"):
        secret_source(f"file:{path}", "password")()
    with pytest.raises(BadUse, match="can't be read: No such file"):
        secret_source(f"file:{tmp_path}/absent", "password")()


def test_a_prompt_needs_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    with pytest.raises(BadUse, match="no terminal"):
        secret_source("prompt", "password")()


@pytest.mark.parametrize("source", ["", "env:", "file:", "prompt:x", "hunter2"])
def test_anything_else_is_refused_without_repeating_it(source: str) -> None:
    with pytest.raises(BadUse) as refused:
        secret_source(source, "password")
    assert "hunter2" not in str(refused.value)
