"""Names that are looked up while somebody types: of nodes, labs, clusters, runs, tokens."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bootstrap.cli.described.names import LONGEST_READ, Typed, names_of
from bootstrap.state.known_tokens import forget_tokens, note_token

NODES = "cluster: {name: lab}\nnodes:\n- {name: server-1, role: server}\n- name: agent-1\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of somebody whose state is in it."""
    for variable in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "clusterup"


def test_nodes_are_those_of_the_inventory(here: Path) -> None:
    Path("inventory.yaml").write_text(NODES)
    assert names_of("node", Typed()) == [("server-1", "server"), ("agent-1", "agent")]
    Path("other.yaml").write_text("nodes: [{name: s2, role: server}]")
    assert names_of("node", Typed(inventory=Path("other.yaml"))) == [("s2", "server")]


def test_nodes_of_a_long_inventory_are_found_as_well(here: Path) -> None:
    nodes = "".join(f"  - {{name: agent-{n}, address: 192.0.2.1, labels: {{name: other}}}}\n" for n in range(5000))
    Path("inventory.yaml").write_text(f"cluster:\n  name: lab\nnodes:\n  - name: server-1\n{nodes}")
    assert Path("inventory.yaml").stat().st_size > LONGEST_READ
    found = [name for name, _ in names_of("node", Typed())]
    assert found[:2] == ["server-1", "agent-0"]
    assert len(found) == 5001


@pytest.mark.parametrize(
    "content", ["", "- a", "nodes: 5", "nodes: [5]", "nodes: [{name: 5}]", "a: [", "\x00", "nodes: [{name: 'a b\x1b'}]"]
)
def test_an_inventory_that_can_t_be_read_has_no_nodes(here: Path, content: str) -> None:
    Path("inventory.yaml").write_text(content)
    assert names_of("node", Typed()) == []


def test_machines_are_those_of_the_lab(here: Path) -> None:
    (here / "labs" / "big").mkdir(parents=True)
    machines = [{"name": "server-1", "role": "server"}]
    (here / "labs" / "big" / "lab.json").write_text(json.dumps({"machines": machines}))
    assert names_of("machine", Typed(lab="big")) == [("server-1", "server")]
    assert names_of("machine", Typed(lab="../labs/big")) == []
    assert names_of("lab", Typed()) == [("big", "")]


def test_saved_labs_are_called_by_their_names(here: Path) -> None:
    for name in ("ready@0123", "ready@4567", ".making"):
        (here / "labs" / name).mkdir(parents=True)
    assert names_of("saved lab", Typed()) == [("ready", "")]


def test_runs_are_the_newest_of_the_cluster_s_journal(here: Path) -> None:
    Path("inventory.yaml").write_text(NODES)
    (here / "clusters" / "lab").mkdir(parents=True)
    lines = [json.dumps({"event": "RunStarted", "run": run}) for run in ("aaaa1111", "bbbb2222", "aaaa1111")]
    (here / "clusters" / "lab" / "journal.jsonl").write_text("\n".join(lines))
    assert [name for name, _ in names_of("run", Typed())] == ["last", "aaaa1111", "bbbb2222"]
    assert next(name for name, _ in names_of("run", Typed(Path("none"), cluster="lab"))) == "last"
    assert names_of("cluster", Typed()) == [("lab", "")]


def test_tokens_are_those_that_were_made_here_and_have_not_ended(here: Path) -> None:
    Path("inventory.yaml").write_text(NODES)
    folder = here / "clusters" / "lab"
    now = datetime.now(UTC)
    note_token(folder, "aaaaaa", role="agent", expires=now + timedelta(hours=1))
    note_token(folder, "bbbbbb", role="server", expires=now + timedelta(hours=1))
    note_token(folder, "cccccc", role="agent", expires=now - timedelta(hours=1))
    assert names_of("token", Typed()) == [("aaaaaa", "agent"), ("bbbbbb", "server")]
    forget_tokens(folder, ["aaaaaa", "zzzzzz"])
    assert names_of("token", Typed()) == [("bbbbbb", "server")]
    (folder / "tokens.json").write_text("[")
    assert names_of("token", Typed()) == []
    note_token(folder, "dddddd", role="agent", expires=now + timedelta(hours=1))
    assert [name for name, _ in names_of("token", Typed())] == ["dddddd"]


def test_looking_up_names_makes_nothing(here: Path) -> None:
    for kind in ("node", "machine", "lab", "saved lab", "cluster", "run", "token", "nothing"):
        assert names_of(kind, Typed()) == []
    assert list(here.parent.iterdir()) == []


def test_a_pipe_is_not_waited_for(here: Path) -> None:
    os.mkfifo("inventory.yaml")
    assert names_of("node", Typed()) == []
    assert names_of("run", Typed()) == []
    assert names_of("node", Typed(Path("~nobody-of-that-name/x"))) == []
