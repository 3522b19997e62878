"""What an executable says of itself: `build.json`, which scripts/build-executable writes into the package."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import ClusterupError

FILE = Path(__file__).resolve().parents[1] / "build.json"
# The path of the executable that runs; its head says so.
EXECUTABLE = "CLUSTERUP_EXECUTABLE"


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """`commit` of the sources, `architecture` as Debian names it, `components` are releases by name."""

    commit: str
    architecture: str
    components: Mapping[str, str]


def build_info(file: Path = FILE) -> BuildInfo | None:
    """What this executable is made of; None where this is none, but a package that Python found. Raises ClusterupError
    where that can't be read."""
    if not file.exists():
        return None
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return BuildInfo(said["commit"], said["architecture"], dict(said["components"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterupError(
            "this clusterup is damaged",
            tried=f"read {file}",
            got=f"{type(error).__name__}: {error}",
            hint=f"remove {file.parents[2]}, from where it is unpacked again; or copy the executable again",
        ) from None


def executable() -> Path | None:
    """The executable that runs, where this is one."""
    said = os.environ.get(EXECUTABLE)
    return Path(said) if said and FILE.exists() else None


def version_words(version: str, built: BuildInfo | None) -> str:
    """What `clusterup --version` says."""
    if built is None:
        return f"clusterup {version}"
    components = ", ".join(f"{name} {release}" for name, release in built.components.items())
    return f"clusterup {version} (linux-{built.architecture}, commit {built.commit})\nmade with {components}"
