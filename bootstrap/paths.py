"""Where clusterup keeps things on the operator's machine (XDG base directories)."""

from __future__ import annotations

import os
from pathlib import Path

from bootstrap.errors import BadUse


def templates_dir() -> Path:
    """The folder of the Jinja2 templates: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    shipped = package / "_templates"
    return shipped if shipped.is_dir() else package.parent / "templates"


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/clusterup`: what can be built again (images, trees, downloads). Raises BadUse where no one says
    where that is."""
    return _base("XDG_CACHE_HOME", ".cache") / "clusterup"


def state_dir() -> Path:
    """`$XDG_STATE_HOME/clusterup`: keys, pinned host keys, journals, labs; whoever writes there makes it
    (`private_folder`). Raises BadUse where no one says where that is."""
    return _base("XDG_STATE_HOME", ".local/state") / "clusterup"


def private_folder(folder: Path) -> Path:
    """Make the folder, and all above it that are missing, readable by their owner alone. Raises OSError."""
    if not folder.is_dir():
        if folder.parent != folder:
            private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def home_folder() -> Path | None:
    """The user's home folder; None where neither HOME nor the user database names one, as for a number without a name
    in a container."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def expanded(path: str | Path) -> Path:
    """The path with a leading ~ or ~NAME replaced. Raises BadUse where no one knows whose home that is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadUse(
            f"{path} can't be found: its home folder is not known",
            tried="look for it in HOME and in the user database",
            got="this user has none there",
            hint="write the whole path, or set HOME",
        ) from None


def _base(variable: str, below_home: str) -> Path:
    configured = os.environ.get(variable)
    if configured:
        return Path(configured)
    home = home_folder()
    if home is None:
        raise BadUse(
            "there is no place to keep anything: this user has no home folder",
            tried=f"${variable}, $HOME and the user database",
            got="none of them names a folder",
            hint=f"set {variable} to a folder of yours",
        )
    return home / below_home
