"""A person with an inventory and the keys of the cluster that the real API server is of, who types commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import ClusterupError
from tests.helpers.typed import typed
from tests.helpers.worlds import bundle
from tests.integration.kube.servers import ApiServer

Types = Callable[..., Any]


@pytest.fixture
def types(api_server: ApiServer, signer: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Types:
    """Runs a command in a folder with an inventory.yaml, whose endpoint is the API server."""
    return typing(api_server, tmp_path, monkeypatch)


def typing(api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Types:
    """As `types`, without controllers."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    bundle(tmp_path / "bundle")
    shutil.copytree(api_server.pki_folder, tmp_path / "state" / "clusterup" / "clusters" / "lab" / "pki")
    document = {
        "cluster": {"name": "lab", "endpoint": f"127.0.0.1:{api_server.port}"},
        "os": {"bundle": str(tmp_path / "bundle")},
        "nodes": [{"name": "s1", "role": "server", "address": "10.77.0.11", "disk": "/dev/vda"}],
    }
    (tmp_path / "inventory.yaml").write_text(json.dumps(document))
    return typed


def refused(result: Any) -> ClusterupError:
    """The failure that a command ended with, as `main` says it."""
    assert isinstance(result.exception, ClusterupError), result.output
    return result.exception
