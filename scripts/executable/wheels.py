"""What clusterup needs from PyPI, in the releases that `requirements.txt` names. Wheels alone: nothing is compiled."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from bootstrap.image.architecture import ARCHITECTURES, Architecture
from bootstrap.image.trees import Log, run

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHON = "3.13"
# Wheels for these run with any C library of Debian 13's age; the machine's own does not matter.
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
LICENCES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")
HEAD = """\
# What the executable is made with, for each of its architectures. Written by: scripts/build-executable --update
"""


def install_wheels(architecture: Architecture, into: Path, log: Log) -> list[Distribution]:
    """Install all of `requirements.txt` for that architecture into a folder. Raises ClusterupError."""
    argv = [*_pip("install"), *_for(architecture), "--require-hashes", "--no-deps", "--no-compile"]
    run([*argv, "--target", str(into), "--requirement", str(REQUIREMENTS)], what="fetching Python's libraries", log=log)
    return sorted(distributions(path=[str(into)]), key=lambda each: each.name.lower())


def newest_requirements(wanted: Sequence[str], log: Log) -> str:
    """The text of `requirements.txt` with the newest releases of what is `wanted`, and of what that needs. Raises
    ClusterupError, and ValueError where two architectures would get different releases."""
    digests: dict[str, set[str]] = {}
    for architecture in ARCHITECTURES.values():
        for name, release, digest in _resolved(wanted, architecture, log):
            digests.setdefault(f"{name}=={release}", set()).add(digest)
    names = [pinned.partition("==")[0] for pinned in digests]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"different releases for different architectures: {', '.join(sorted(twice))}")
    lines = [
        " \\\n    ".join([pinned, *(f"--hash=sha256:{digest}" for digest in sorted(digests[pinned]))])
        for pinned in sorted(digests)
    ]
    return HEAD + "\n".join(lines) + "\n"


def _resolved(wanted: Sequence[str], architecture: Architecture, log: Log) -> list[tuple[str, str, str]]:
    """Name, release and SHA-256 of each wheel that pip would take."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        argv = [*_pip("install"), *_for(architecture), "--dry-run", "--ignore-installed", "--report", str(report)]
        run([*argv, "--target", folder, *wanted], what=f"asking for libraries for {architecture.name}", log=log)
        installed: list[dict[str, Any]] = json.loads(report.read_text())["install"]
    return [
        (
            normal(each["metadata"]["name"]),
            each["metadata"]["version"],
            each["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for each in installed
    ]


def normal(name: str) -> str:
    """A name as PyPI compares them (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip(command: str) -> list[str]:
    return [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]


def _for(architecture: Architecture) -> list[str]:
    platforms = [f"--platform={each}_{architecture.machine}" for each in PLATFORMS]
    return [*platforms, f"--python-version={PYTHON}", "--implementation=cp"]


def licence_of(distribution: Distribution) -> str:
    """The licence that its metadata names: an SPDX expression (PEP 639), or what older packages call it."""
    said = distribution.metadata.json
    classified = [each.rpartition(" :: ")[2] for each in said.get("classifier", []) if each.startswith("License :: ")]
    return str(said.get("license_expression") or "; ".join(classified) or said.get("license") or "")


def licences_of(distribution: Distribution) -> list[Path]:
    """The files of its licence, as its wheel has them; its metadata, which names it, where the wheel has none."""
    files = [
        Path(str(distribution.locate_file(file))) for file in distribution.files or () if ".dist-info" in str(file)
    ]
    found = [file for file in files if file.name.upper().startswith(LICENCES) and file.is_file()]
    return found or [file for file in files if file.name == "METADATA"]
