"""What is kept from pods on a machine, which the kubelet is told at each of its starts."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.constants.paths import KUBELET_SETTINGS, KUBELET_SETTINGS_SCRIPT, KUBELET_YAML
from bootstrap.spec.node_services import kubelet_unit
from tests.unit.spec.test_units import CA, shape


def told(folder: Path, node: str, mebibytes: int) -> dict[str, Any]:
    """The settings of a kubelet that starts on a machine with so much memory."""
    files = {file.path: file.content.decode() for file in kubelet_unit(shape(node), CA).files}
    script = files[KUBELET_SETTINGS_SCRIPT]
    for path in (KUBELET_YAML, KUBELET_SETTINGS, "/proc/meminfo"):
        script = script.replace(path, str(folder / path.lstrip("/")))
    for path, content in ((KUBELET_YAML, files[KUBELET_YAML]), ("/proc/meminfo", f"MemTotal: {mebibytes << 10} kB\n")):
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    subprocess.run(["sh", "-c", script], check=True)
    found: dict[str, Any] = yaml.safe_load((folder / KUBELET_SETTINGS.lstrip("/")).read_text())
    return found


@pytest.mark.parametrize(
    ("node", "mebibytes", "expected"),
    [
        ("s1", 2048, "802Mi"),
        ("a1", 2048, "352Mi"),
        ("a1", 1024, "301Mi"),
        ("s1", 65536, "3976Mi"),
        ("s1", 1000, "500Mi"),
    ],
)
def test_memory_is_kept_by_what_runs_there_and_by_the_size_of_the_machine(
    tmp_path: Path, node: str, mebibytes: int, expected: str
) -> None:
    assert told(tmp_path, node, mebibytes)["systemReserved"]["memory"] == expected


def test_the_other_settings_are_as_they_stand_in_the_file(tmp_path: Path) -> None:
    found = told(tmp_path, "a1", 2048)
    assert found["clusterDomain"] == "cluster.local"
    assert found["podPidsLimit"] == 4096
    assert found["systemReserved"] == {"cpu": "100m", "memory": "352Mi", "pid": "1000"}


def test_the_kubelet_starts_with_them_and_the_script_is_part_of_what_it_runs_with() -> None:
    unit = kubelet_unit(shape("a1"), CA)
    assert f"--config={KUBELET_SETTINGS}" in unit.argv
    assert KUBELET_SETTINGS_SCRIPT in unit.reads
    assert unit.before_start == (f"/bin/sh {KUBELET_SETTINGS_SCRIPT}",)
