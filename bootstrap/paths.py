"""Where clusterup keeps things on the operator's machine (XDG base directories)."""

from __future__ import annotations

import os
from pathlib import Path


def templates_dir() -> Path:
    """The folder of the Jinja2 templates: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    shipped = package / "_templates"
    return shipped if shipped.is_dir() else package.parent / "templates"


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/clusterup`: what can be built again (images, trees, downloads)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "clusterup"


def state_dir() -> Path:
    """`$XDG_STATE_HOME/clusterup`, mode 0700: keys, pinned host keys, journals, labs."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    directory = Path(base) / "clusterup"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory
