"""Files that are written whole or not at all, through what stands in their place."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bootstrap.written import rewrite, write, write_private


def test_a_file_is_new_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "new" / "file", b"secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "file").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_link_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    for content in (b"one", b"two"):
        write(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "file").read_bytes() == content


def test_a_pipe_gets_the_content_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = b"x" * 300_000
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe, content)
    reader.join()
    assert read == [content]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_stays_one() -> None:
    write(Path("/dev/null"), b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


WRITES = "from pathlib import Path; from bootstrap.written import write; print('first', flush=True); "
WRITES += "write(Path('/dev/stdout'), b'second\\n'); print('third')"


@pytest.mark.parametrize("into_a_file", [True, False])
def test_standard_output_is_what_it_was(tmp_path: Path, into_a_file: bool) -> None:
    if into_a_file:
        with (tmp_path / "out").open("ab") as out:
            subprocess.run([sys.executable, "-c", WRITES], stdout=out, check=True)
        said = (tmp_path / "out").read_text()
    else:
        said = subprocess.run([sys.executable, "-c", WRITES], capture_output=True, text=True, check=True).stdout
    assert said == "first\nsecond\nthird\n"


def test_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="this is a folder"):
        write(tmp_path, b"")


@pytest.mark.parametrize(("before", "after"), [(0o400, 0o400), (0o640, 0o600), (0o777, 0o700)])
def test_a_file_that_is_written_again_keeps_what_its_owner_may(tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(before)
    rewrite(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == after


@pytest.mark.skipif(os.geteuid() != 0, reason="this machine has no second user to be, without root")
def test_a_file_of_somebody_else_stays_theirs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 65534, 65534)
    rewrite(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this machine has no /dev/shm")
def test_a_file_below_dev_is_a_file(tmp_path: Path) -> None:
    path = Path("/dev/shm") / f"clusterup-{os.getpid()}-{tmp_path.name}"
    try:
        write_private(path, b"one")
        path.chmod(0o644)
        write_private(path, b"two")
        assert path.read_bytes() == b"two"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        path.unlink(missing_ok=True)
