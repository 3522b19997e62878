"""clusterup plan --out and apply --plan, as typed, over machines that are on paper only."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.engine.lock import file_lock
from bootstrap.errors import BadUse, ClusterupError
from bootstrap.facts.model import ClusterFacts, UnitFacts
from bootstrap.operations.intent import Intent
from bootstrap.operations.reading import intent_of_file
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.pki.kubeconfig import write_kubeconfig
from bootstrap.protocol.lease_lock import KEY, KeyValue, Lease
from tests.helpers.typed import typed
from tests.helpers.worlds import bundle, finished_world, keeping

Types = Callable[..., Any]


@dataclasses.dataclass
class PaperEtcd:
    """The lock's key, and how often it was written; `written` is called each time that it is."""

    key: KeyValue | None = None
    times: int = 0
    written: Callable[[], None] = lambda: None

    def entry(self, key: str) -> KeyValue | None:
        assert key == KEY
        return self.key

    def grant(self, seconds: int) -> Lease:
        return Lease(1, seconds)

    def create(self, key: str, value: bytes, lease: Lease) -> KeyValue | None:
        assert (key, self.key) == (KEY, None)
        self.key = KeyValue(value, lease.id)
        self.times += 1
        self.written()
        return None

    def keep_alive(self, lease: Lease) -> int:
        return lease.seconds

    def revoke(self, lease: Lease) -> None:
        self.key = None


@dataclasses.dataclass
class Paper:
    """What the machines would say, and the etcd on them; `stop` makes one unit of a node another one."""

    intent: Intent
    world: ClusterFacts
    etcd: PaperEtcd = dataclasses.field(default_factory=PaperEtcd)

    def stop(self, node: str, unit: str) -> None:
        facts = self.world.nodes[node]
        stopped = dataclasses.replace(facts, units={**facts.units, unit: UnitFacts("failed", None)})
        self.world = dataclasses.replace(self.world, seen={**self.world.seen, node: stopped})


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paper:
    """A folder with lab.yaml and its kubeconfig, and a cluster that is as it says."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    bundle(tmp_path / "bundle")
    nodes = [{"name": f"s{n}", "role": "server", "address": f"10.0.0.{n}", "disk": "/dev/vda"} for n in (1, 2, 3)]
    document = {"cluster": {"name": "paper"}, "os": {"bundle": str(tmp_path / "bundle")}, "nodes": nodes}
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    intent = keeping(intent_of_file(Path("lab.yaml"), None))
    write_kubeconfig(intent.kubeconfig, admin_kubeconfig(intent.inventory, intent.keys))
    made = Paper(intent, finished_world(intent))

    @contextmanager
    def etcd_on(*_: object) -> Iterator[PaperEtcd]:
        yield made.etcd

    monkeypatch.setattr("bootstrap.operations.apply.look", lambda *_, **__: made.world)
    monkeypatch.setattr("bootstrap.lock.guard.etcd_on", etcd_on)
    return made


@pytest.fixture
def types() -> Types:
    return typed


def test_the_exit_code_says_whether_there_is_something_to_do(paper: Paper, types: Types) -> None:
    assert types("plan", "lab.yaml", "--detailed-exitcode").exit_code == 0
    paper.stop("s2", "kube-scheduler.service")
    assert types("plan", "lab.yaml", "--detailed-exitcode").exit_code == 2
    assert types("plan", "lab.yaml").exit_code == 0


def test_each_action_says_which_fact_is_not_as_which_line_wants_it(paper: Paper, types: Types) -> None:
    paper.stop("s2", "kube-scheduler.service")
    line = next(n for n, text in enumerate(Path("lab.yaml").read_text().splitlines(), 1) if "name: s2" in text)
    assert f"because kube-scheduler.service is failed (lab.yaml:{line})" in types("plan", "lab.yaml").output


def test_the_plan_as_yaml_is_one_document_with_what_json_says(paper: Paper, types: Types) -> None:
    paper.stop("s2", "kube-scheduler.service")
    document = yaml.safe_load(types("plan", "lab.yaml", "-o", "yaml").stdout)
    assert document == json.loads(types("plan", "lab.yaml", "-o", "json").stdout.splitlines()[-1])
    assert [action["id"] for action in document["actions"]] == ["s2/control-plane"]


def test_a_saved_plan_is_applied_from_any_folder_while_nothing_has_moved(
    paper: Paper, types: Types, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper.stop("s2", "kube-scheduler.service")
    assert types("plan", "lab.yaml", "--out", "plan.json").exit_code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    tried = types("apply", "--plan", "../plan.json", "--dry-run")
    assert tried.exit_code == 0, tried.output
    assert "s2" in tried.output


def test_a_saved_plan_is_refused_when_something_has_moved_and_that_is_named(paper: Paper, types: Types) -> None:
    types("plan", "lab.yaml", "--out", "plan.json")
    paper.stop("s3", "etcd.service")
    refused = types("apply", "--plan", "plan.json", "--yes").exception
    assert isinstance(refused, ClusterupError)
    assert refused.exit_code == 4
    assert "s3: unit etcd.service was active" in str(refused)
    assert "to be done as well: s3/etcd.member" in str(refused)


def test_a_saved_plan_is_compared_with_what_is_so_under_the_lock(paper: Paper, types: Types) -> None:
    paper.stop("s2", "kube-scheduler.service")
    types("plan", "lab.yaml", "--out", "plan.json")
    paper.etcd.written = lambda: paper.stop("s3", "kube-scheduler.service")
    refused = types("apply", "--plan", "plan.json", "--yes").exception
    assert isinstance(refused, ClusterupError)
    assert refused.exit_code == 4
    assert "to be done as well: s3/control-plane" in str(refused)
    assert (paper.etcd.times, paper.etcd.key) == (1, None)


def test_a_saved_plan_is_refused_when_its_inventory_was_changed(paper: Paper, types: Types) -> None:
    types("plan", "lab.yaml", "--out", "plan.json")
    with Path("lab.yaml").open("a") as file:
        file.write("# a second thought\n")
    refused = types("apply", "--plan", "plan.json", "--yes").exception
    assert isinstance(refused, ClusterupError)
    assert "the inventory's content was" in str(refused)


def test_a_plan_is_saved_for_the_inventory_that_it_was_made_of(
    paper: Paper, types: Types, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object, **__: object) -> ClusterFacts:
        with Path("lab.yaml").open("a") as file:
            file.write("# a thought while the nodes are asked\n")
        return paper.world

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("bootstrap.operations.apply.look", look)
        assert types("plan", "lab.yaml", "--out", "plan.json").exit_code == 0
    refused = types("apply", "--plan", "plan.json", "--dry-run").exception
    assert isinstance(refused, ClusterupError)
    assert "the inventory's content was" in str(refused)


def test_a_dry_run_says_what_would_be_done_and_that_nothing_was(paper: Paper, types: Types) -> None:
    paper.stop("s2", "kube-scheduler.service")
    tried = types("apply", "lab.yaml", "--dry-run")
    assert tried.exit_code == 0
    assert "because kube-scheduler.service is failed" in tried.output
    assert "nothing was done: this was a dry run" in tried.output
    assert not paper.intent.state.journal.exists()


def test_a_dry_run_takes_no_lock_and_minds_none(paper: Paper, types: Types) -> None:
    paper.stop("s2", "kube-scheduler.service")
    with file_lock(paper.intent.state.lock, "apply lab.yaml"):
        assert types("apply", "lab.yaml", "--dry-run").exit_code == 0
    assert paper.etcd.times == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b'{"format": 1, "about": 3, "actions": [], "facts": {}}',
        b'{"format": 1, "about": {"inventory": 3}, "actions": [], "facts": {}}',
        b'{"format": 1, "about": {}, "actions": [3], "facts": {}}',
        b'{"format": 1, "about": {}, "actions": [{"id": 1}], "facts": {}}',
        b'{"format": 1, "about": {}, "actions": [], "facts": {"s1": 3}}',
        b'{"format": 2, "about": {}, "actions": [], "facts": {}}',
    ],
    ids=range(10),
)
def test_a_file_that_is_no_plan_is_said_to_be_none(paper: Paper, types: Types, content: bytes) -> None:
    Path("plan.json").write_bytes(content)
    refused = types("apply", "--plan", "plan.json")
    assert isinstance(refused.exception, BadUse), refused.output
    assert "plan.json is not a plan that was saved" in str(refused.exception)
