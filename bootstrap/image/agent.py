"""The agent that runs on a node, as one file that Python runs: what stands in `bootstrap/node`, and the few rooms that
it stands on. None of it needs more than the standard library.

Source: https://docs.python.org/3/library/zipapp.html#the-python-zip-application-archive-format
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import bootstrap

ROOMS = ("constants", "node", "protocol")
MODULES = ("__init__.py", "outside.py")
MAIN = b"from bootstrap.node.__main__ import start\n\nstart()\n"
# The first moment that a zip archive knows: the same sources are the same bytes.
WRITTEN = (1980, 1, 1, 0, 0, 0)


def agent_archive() -> bytes:
    """The agent as a zip application."""
    made = io.BytesIO()
    # Not packed: the image is, and a node unpacks nothing then to start it.
    with ZipFile(made, "w") as archive:
        archive.writestr(ZipInfo("__main__.py", WRITTEN), MAIN)
        for path in _sources():
            name = path.relative_to(_folder().parent).as_posix()
            archive.writestr(ZipInfo(name, WRITTEN), path.read_bytes())
    return made.getvalue()


def _sources() -> Iterator[Path]:
    yield from (_folder() / name for name in MODULES)
    for room in ROOMS:
        yield from sorted((_folder() / room).rglob("*.py"))


def _folder() -> Path:
    return Path(bootstrap.__file__).parent
