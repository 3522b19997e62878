"""Files that are written whole or not at all: whoever reads one at that moment finds the old text or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write the file, whole or not at all; everybody may read it. Raises OSError.

    The folder may be that of a service which is not trusted: a link that stands in the way is not followed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "w") as file:
        file.write(text)
    os.replace(unfinished, path)  # noqa: PTH105
