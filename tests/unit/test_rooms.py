"""What keeps the house in order: rooms of a size that can be seen at once, and imports that lead down alone."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from bootstrap.image.agent import agent_archive
from tests.scenarios.files import existing

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for folder in ("bootstrap", "tests", "scripts") for path in (ROOT / folder).rglob("*.py"))
MOST_LINES = 400
MOST_MODULES = 20


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says about the package in a folder."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_room_has_more_modules_than_can_be_seen_at_once() -> None:
    rooms: dict[str, int] = {}
    for path in MODULES:
        room = str(path.parent.relative_to(ROOT))
        rooms[room] = rooms.get(room, 0) + (path.name != "__init__.py")
    assert {name: count for name, count in rooms.items() if count > MOST_MODULES} == {}


def test_the_house_keeps_to_its_contracts() -> None:
    kept = lint(ROOT)
    assert kept.returncode == 0, kept.stdout


@pytest.mark.parametrize(
    ("place", "line", "broken"),
    [
        ("constants/wrong.py", "from bootstrap.cli.main import main", "Rooms import those below them alone"),
        ("spec/wrong.py", "from bootstrap.clients.etcd import EtcdClient", "is calculated without looking at one"),
        ("transport/serial/line/wrong.py", "import bootstrap.transport.serial.transport", "A serial line's rooms"),
        ("protocol/wrong.py", "import yaml", "What a node ships stands on the standard library"),
        ("node/machine.py", "from bootstrap.node.joining.join import join", "The node's rooms import those below"),
        ("engine/plan.py", "from bootstrap.engine.saved import read_plan", "No circles"),
        ("somewhere_new.py", "", "Rooms import those below them alone"),
    ],
)
def test_an_import_that_leads_up_or_in_a_circle_is_refused(tmp_path: Path, place: str, line: str, broken: str) -> None:
    shutil.copytree(ROOT / "bootstrap", tmp_path / "bootstrap")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / "bootstrap" / place
    file.write_text(f"{file.read_text() if file.exists() else ''}\n{line}\n")
    refused = lint(tmp_path)
    assert refused.returncode == 1
    assert broken in refused.stdout


def test_what_a_node_ships_imports_nothing_that_a_node_does_not_have() -> None:
    with ZipFile(BytesIO(agent_archive())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    there = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files}
    wanted = {
        (name, module)
        for name, source in files.items()
        for statement in ast.walk(ast.parse(source))
        for module in _imported(statement)
        if module.partition(".")[0] not in sys.stdlib_module_names and module not in there
    }
    assert "bootstrap.node.joining.join" in there
    assert wanted == set()


def _imported(statement: ast.AST) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if not isinstance(statement, ast.ImportFrom):
        return []
    # A name that is imported may be a module of its own.
    inside = [f"{statement.module}.{alias.name}" for alias in statement.names]
    return [statement.module or "", *(name for name in inside if _is_module(name))]


def _is_module(name: str) -> bool:
    place = ROOT / name.replace(".", "/")
    return place.is_dir() or place.with_suffix(".py").exists()


def test_the_agent_runs_where_there_is_nothing_but_python(tmp_path: Path) -> None:
    file = tmp_path / "node.pyz"
    file.write_bytes(agent_archive())
    with ZipFile(file) as archive:
        names = [name.removesuffix(".py").replace("/", ".") for name in archive.namelist() if "/__" not in name]
    everything = f"import sys; sys.path.insert(0, {str(file)!r}); import {', '.join(n for n in names if '.' in n)}"
    for run in ([str(file), "join", "--help"], ["-c", everything]):
        done = subprocess.run([sys.executable, "-IS", *run], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def test_the_map_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {path.parent.name for path in (ROOT / "bootstrap").glob("*/__init__.py")}
    assert {room for room in rooms if f"| `{room}` |" not in page} == set()


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(r"`((?:bootstrap|templates|tests|docs|scripts|inventories)/[\w./-]*)`", page.read_text()))
    # In capitals stands what is to be filled in.
    assert {name for name in named if not (ROOT / name).exists() and name == re.sub("[A-Z]{2,}", "", name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_page_names_by_its_room_is_there(page: Path) -> None:
    rooms = "|".join(path.parent.name for path in (ROOT / "bootstrap").glob("*/__init__.py"))
    named = set(re.findall(rf"`((?:{rooms})/[\w/]+)(?:\.py)?`", page.read_text()))
    scenarios = {scenario.name for scenario in existing(ROOT)}
    places = {name: ROOT / "bootstrap" / name for name in named - scenarios}
    assert {
        name for name, place in places.items() if not (place.is_dir() or place.with_suffix(".py").exists())
    } == set()
