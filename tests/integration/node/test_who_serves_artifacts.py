"""The server of artifacts as an unprivileged user: what it reads has the modes that it has on a node."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bootstrap.constants.paths import PAYLOADS
from tests.helpers.local_transport import LocalTransport
from tests.integration.node.artifact_server import NOBODY, Cluster, serving, sha256

CONTENT = b"the payload " * 100_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_was_uploaded_is_handed_out_by_a_user_without_any_rights(tmp_path: Path) -> None:
    opened(tmp_path)
    source = tmp_path / "payload"
    source.write_bytes(CONTENT)
    payload = tmp_path / PAYLOADS.rpartition("/")[2] / "payload.raw"
    LocalTransport().upload(source, str(payload), sha256=sha256(CONTENT), mode=0o644, progress=lambda *_: None)
    private = tmp_path / "handover.json"
    private.touch(mode=0o600)
    cluster, artifacts = Cluster(tmp_path), {sha256(CONTENT): payload, "0" * 64: private}
    with cluster.serves() as api, serving(tmp_path, cluster, api, artifacts, user=NOBODY) as running:
        assert running.status("Uid") == NOBODY
        assert running.get(f"/artifacts/{sha256(CONTENT)}") == (200, CONTENT)
        assert running.get("/artifacts/" + "0" * 64) == (404, b"this server has lost it: Permission denied\n")


def opened(folder: Path) -> None:
    """Let everybody pass through a folder of pytest's, which is its maker's alone."""
    for place in (folder, *folder.parents):
        if place.owner() == "root" and place != Path("/") and str(place).startswith("/tmp/"):
            place.chmod(0o755)
