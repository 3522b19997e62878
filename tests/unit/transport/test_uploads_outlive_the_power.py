"""A file that has its name has its content, also when the power goes right after."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bootstrap.transport.upload import upload
from tests.helpers.local_transport import LocalTransport

# Notes which files there are when it is asked to put one on the disk.
SYNC = """\
#!/bin/sh
for file; do echo "$file $([ -e "${file%.part}" ] && echo has its name || echo has no name yet)" >>LOG; done
exec /bin/sync "$@"
"""


def test_what_arrived_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, destination, log = tmp_path / "source", tmp_path / "node" / "payload.raw", tmp_path / "log"
    source.write_bytes(b"payload")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sync").write_text(SYNC.replace("LOG", str(log)))
    (tools / "sync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    digest = hashlib.sha256(b"payload").hexdigest()
    upload(LocalTransport(), source, str(destination), sha256=digest, mode=0o644, progress=lambda *_: None)
    assert destination.read_bytes() == b"payload"
    assert log.read_text() == f"{destination}.part has no name yet\n"
