"""What is slow to build is built once: directories named by everything that went into them.

A build happens in a temporary folder beside its final place and is renamed when complete, so that an
interrupted build leaves nothing that looks finished. Two builders of one key wait for each other.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bootstrap.locks import waiting_lock
from bootstrap.paths import cache_dir

LEFT_BY_TOOLS = frozenset(("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"))
"""Folders beside sources that are not part of them."""


def content_key(parts: Mapping[str, bytes | str | Path]) -> str:
    """A short hexadecimal key (16 digits of SHA-256) over named parts.

    A Path stands for the contents of that file, or of every file below that folder (names, modes' execute
    bit and bytes); what tools leave there (`LEFT_BY_TOOLS`) is passed over.
    """
    digest = hashlib.sha256()
    for name in sorted(parts):
        value = parts[name]
        digest.update(f"\0{name}\0".encode())
        if isinstance(value, Path):
            for relative, data in _contents(value):
                digest.update(f"\0{relative}\0{len(data)}\0".encode())
                digest.update(data)
        else:
            digest.update(value.encode() if isinstance(value, str) else value)
    return digest.hexdigest()[:16]


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_file():
        yield path.name, path.read_bytes()
        return
    for item in sorted(path.rglob("*")):
        if not LEFT_BY_TOOLS.isdisjoint(item.relative_to(path).parts):
            continue
        relative = str(item.relative_to(path))
        if item.is_symlink():
            yield relative, str(item.readlink()).encode()
        elif item.is_file():
            executable = "x" if item.stat().st_mode & 0o100 else "-"
            yield relative + executable, item.read_bytes()


def cached(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """The folder `kind`/`key` of the cache, made by `build(folder)` where it is not there yet.

    Whatever `build` raises is passed on, after its unfinished folder was removed.
    """
    place = cache_dir() / kind
    place.mkdir(parents=True, exist_ok=True)
    final = place / key
    if final.is_dir():
        return final
    with waiting_lock(place / f".{key}.lock"):
        if final.is_dir():
            return final
        unfinished = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=place))
        unfinished.chmod(0o755)
        try:
            build(unfinished)
            unfinished.rename(final)
        finally:
            if unfinished.is_dir():
                shutil.rmtree(unfinished)
    return final
