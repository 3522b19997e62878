"""A tree as one executable file: the head, the tree as a tar in one zstd frame, and a trailer (launcher/launcher.c)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from bootstrap.image.architecture import Architecture
from scripts.executable.toolchain import Toolchain
from scripts.executable.tree import LOADERS
from scripts.executable.wheels import PYTHON

MAGIC = b"clusterup executable 1\n"
FIELD = 32
KEY = 65
TRAILER = 256


def compile_python(tree: Path, root: Path, own: Architecture) -> None:
    """Compile all of Python in the tree with the same Python, of this machine's architecture, that was unpacked to
    `root`: the same bytes each time. What is compiled is never compared with its source. Raises
    subprocess.CalledProcessError."""
    libraries = root / f"usr/lib/{own.machine}-linux-gnu"
    python = str(root / f"usr/bin/python{PYTHON}")
    loader = [
        str(libraries / LOADERS[own.name]),
        "--inhibit-cache",
        "--library-path",
        str(libraries),
        "--argv0",
        python,
    ]
    # Names in tracebacks are those of where it is by then: Python says so when it loads a file.
    how = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(tree)]
    folders = [str(tree / f"lib/python{PYTHON}"), str(tree / "site")]
    # The order of sets is written as it was.
    subprocess.run(
        [*loader, python, "-S", "-s", *how, *folders], env={"PYTHONHASHSEED": "0", "PATH": os.defpath}, check=True
    )


def write_executable(tree: Path, head: Path, toolchain: Toolchain, target: Path) -> None:
    """Write the executable, and put it where it belongs when it is whole. Raises ClusterupError, OSError."""
    archive = tree.parent / "tree.tar"
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted(tree.rglob("*")):
            tar.add(file, arcname=str(file.relative_to(tree)), recursive=False, filter=_owned_by_nobody)
    with archive.open("rb") as handle:
        key = hashlib.file_digest(handle, "sha256").hexdigest()
    toolchain.packed(archive, lambda _: None)
    packed = archive.with_name("tree.tar.zst")
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(head.read_bytes())
            with packed.open("rb") as handle:
                shutil.copyfileobj(handle, out)
            out.write(trailer(head.stat().st_size, packed.stat().st_size, key))
        unfinished.chmod(0o755)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def trailer(offset: int, size: int, key: str) -> bytes:
    """The last bytes of the file, as launcher.c reads them."""
    fields = [each.ljust(FIELD, b"\0") for each in (MAGIC, str(offset).encode(), str(size).encode())]
    return b"".join([*fields, key.encode().ljust(KEY, b"\0")]).ljust(TRAILER, b"\0")


def _owned_by_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing of who made it, and when."""
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry
