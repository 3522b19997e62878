"""The executable runs on whatever Linux there is: in trees of Debian's releases from 11 on, the one that is being made
included.

A tree takes half a minute to make the first time, so this is run by its name:
scripts/test tests/by_name/test_executable_in_trees.py
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bootstrap.image.payload import NEXT
from bootstrap.image.trees import bwrap_argv, ensure_tree, run
from tests.integration.executable.conftest import executable

__all__ = ["executable"]

SUITES = ("bullseye", "bookworm", "trixie", NEXT)


@pytest.mark.parametrize("suite", SUITES)
def test_it_is_whole_and_does_its_work_there(executable: Path, tmp_path: Path, suite: str) -> None:
    # The lists of a release that is being made are good for a week, and a mirror may be older than that.
    options = ['--aptopt=Acquire::Check-Valid-Until "false"'] if suite == NEXT else []
    tree = ensure_tree(f"executable-{suite}", suite, (), log=print, options=options)
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(executable, here / "clusterup")

    def types(*arguments: str) -> str:
        argv = ["/here/clusterup", *arguments]
        inside = bwrap_argv(tree, argv, binds={here: "/here"}, environment={"HOME": "/here"}, folder="/here")
        return run(inside, what=" ".join(arguments), log=lambda _: None)

    assert "linux-" in types("--version")
    types("init", "inventory.yaml")
    assert "fine: 3 servers, 1 agent" in types("validate", "inventory.yaml", "--elsewhere")
    checks = json.loads(types("self-test", "-o", "json"))
    assert [each for each in checks["checks"] if each["wrong"]] == []
    assert checks["whole"]
