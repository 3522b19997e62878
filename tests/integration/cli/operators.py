"""An operator of a simulated cluster, who types commands in this process."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from bootstrap.errors import ClusterupError
from bootstrap.operations.intent import Intent
from bootstrap.state.membership import note_applied
from bootstrap.system_errors import error_in_words
from tests.helpers.typed import typed
from tests.simulator.cluster import SimulatedCluster

INVENTORY = "fleet.yaml"
# Everything that looks and does nothing.
LOOKS = {
    "validate": ("validate", INVENTORY),
    "plan": ("plan", INVENTORY),
    "plan --prune": ("plan", INVENTORY, "--prune", "-o", "json"),
    "apply --dry-run": ("apply", INVENTORY, "--dry-run"),
    "status": ("status", INVENTORY, "-o", "json"),
    "kubeconfig": ("kubeconfig", INVENTORY),
    "events": ("events", INVENTORY),
    "report": ("report", INVENTORY, "--out", "-"),
}


def said(result: Result) -> str:
    """What a person reads; fails where that would be a traceback, or an error of clusterup itself."""
    error = result.exception
    if error is None or isinstance(error, SystemExit):
        return result.output
    if isinstance(error, OSError):
        error = error_in_words(error)
    if not isinstance(error, ClusterupError):
        raise AssertionError(f"{type(error).__name__} would have reached the user") from error
    return f"{result.output}{error}"


def code_of(result: Result) -> int:
    """The exit code that the shell sees."""
    error = result.exception
    if isinstance(error, OSError):
        return error_in_words(error).exit_code
    return error.exit_code if isinstance(error, ClusterupError) else result.exit_code


def types(*arguments: str) -> Result:
    return typed(*arguments)


def tree(folder: Path) -> Mapping[str, tuple[Any, ...]]:
    """Every file and folder below `folder`, with mode, times of the last change, and what is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (stat.filemode(about.st_mode), about.st_mtime_ns, content)
    return found


def state_of(cluster: SimulatedCluster) -> Path:
    return cluster.folder / "state" / "clusterup" / "clusters" / "fleet"


def sits_at(cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on commands are typed in the cluster's folder, by its operator."""
    monkeypatch.chdir(cluster.folder)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)


def has_applied(cluster: SimulatedCluster) -> Intent:
    """From here on the cluster is there, and its operator has applied it; what its inventory comes to."""
    intent = cluster.intent()
    cluster.install()
    intent.state.note_founded()
    note_applied(intent.state, intent.inventory.nodes)
    for desired in intent.nodes.values():
        if desired.handover is not None:
            intent.state.note_handover(desired.handover.sha256)
        intent.state.note_installed(desired.node.name)
    return intent
