"""scripts/bench-join, with few nodes and tokens: it prints what it measured, whatever that is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FIGURES = r" +\d+\.\d\d s +\d+\.\d\d s +\d+\.\d\d s"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    few = ["--nodes", "1", "--nodes", "40", "--times", "1", "--tokens", "3", "--real"]
    done = subprocess.run(
        [sys.executable, "scripts/bench_join.py", *few],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path_factory.mktemp("bench"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_each_size_of_a_cluster_has_its_line(printed: str) -> None:
    simulated, _, real = printed.partition("clusterup-node join")
    for part in (simulated, real):
        assert re.findall(rf"^ +(\d+) nodes{FIGURES}", part, re.MULTILINE) == ["1", "40"]


def test_the_api_is_asked_and_answers_the_same_however_many_nodes_there_are(printed: str) -> None:
    told = re.findall(rf"nodes{FIGURES} +(\d+) +(\d+) kB$", printed, re.MULTILINE)
    assert len(told) == 2
    assert told[0] == told[1]


def test_tokens_are_listed_and_made_beside_few_and_beside_many(printed: str) -> None:
    lines = re.findall(rf"^(\w+, \w+){FIGURES}", printed, re.MULTILINE)
    assert lines == ["list, few", "create, few", "list, many", "create, many"]
