"""clusterup remove and --prune, as typed, over machines that are on paper only."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bootstrap.engine.cancellation import Cancellation
from bootstrap.engine.plan import Plan
from bootstrap.engine.run import ActionOutcome, Report, State
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.facts.model import ClusterFacts
from bootstrap.operations.intent import Intent
from bootstrap.operations.reading import intent_of_file
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.phases.prepared import Prepared
from bootstrap.pki.kubeconfig import write_kubeconfig
from bootstrap.state.membership import Disk, Manner, Pods, note_applied, read_membership
from tests.helpers.typed import typed
from tests.helpers.worlds import bundle, finished_world, keeping

Types = Callable[..., Any]
INVENTORY = """\
# In the cellar.
cluster:
  name: paper
os:
  bundle: bundle
nodes:
  - {name: s1, role: server, address: 10.0.0.1, disk: /dev/vda}
  - {name: s2, role: server, address: 10.0.0.2, disk: /dev/vda}
  - {name: s3, role: server, address: 10.0.0.3, disk: /dev/vda}
  # The old one, which no one misses.
  - name: a1
    address: 10.0.0.21
    disk: /dev/vda   # a slow one
"""
WITHOUT_A1 = INVENTORY[: INVENTORY.index("  - name: a1")]
FILE = Path("lab.yaml")


class Hold:
    """The only one at work."""

    cancellation = Cancellation()

    def prepared(self, look: Callable[[], ClusterFacts], prepare: Callable[[ClusterFacts], Prepared]) -> Prepared:
        return prepare(look())

    def founded(self) -> None:
        """No one founds anything here."""

    def stop_if_lost(self, _: Report) -> None:
        """No lock is lost."""


@dataclasses.dataclass
class Paper:
    """A cluster as it is applied; `ran` are the actions that were begun, and `fails` is one that fails."""

    whole: Intent
    world: ClusterFacts
    ran: list[str] = dataclasses.field(default_factory=list)
    fails: str = ""

    def look(self, intent: Intent, *_: object, **__: object) -> ClusterFacts:
        leaving = {each.name for each in intent.leaving if each.entry is not None}
        return dataclasses.replace(
            self.world,
            seen={name: found for name, found in self.world.seen.items() if name in intent.nodes or name in leaving},
            going=frozenset(leaving),
        )

    def run(self, plan: Plan[ClusterFacts], *_: object, **__: object) -> Report:
        outcomes = []
        for item in plan.items:
            self.ran.append(item.action.id)
            if item.action.id == self.fails:
                error = ClusterupError("it did not go", hint="again")
                outcomes.append(ActionOutcome(item.action, State.FAILED, error=error))
                break
            if item.action.id.endswith("leave.forget"):
                nothing: Any = None
                item.action.apply(nothing)
            outcomes.append(ActionOutcome(item.action, State.DONE))
        return Report(tuple(outcomes), 1.0)

    @property
    def leaving(self) -> dict[str, Manner]:
        roll = read_membership(self.whole.state)
        assert roll is not None
        return roll.leaving


@pytest.fixture(autouse=True)
def clean_without_a_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else a clean node lacks is the matter of whoever cleans it."""
    monkeypatch.setattr("bootstrap.phases.leave.leave.is_clean", lambda found: found.payload is None)


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paper:
    """A folder with lab.yaml, and a cluster that is as it says."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    bundle(tmp_path / "bundle")
    FILE.write_text(INVENTORY)
    whole = keeping(intent_of_file(FILE, None))
    note_applied(whole.state, whole.inventory.nodes)
    write_kubeconfig(whole.kubeconfig, admin_kubeconfig(whole.inventory, whole.keys))
    made = Paper(whole, finished_world(whole))

    @contextmanager
    def alone(*_: object) -> Iterator[Hold]:
        yield Hold()

    monkeypatch.setattr("bootstrap.operations.apply.look", made.look)
    monkeypatch.setattr("bootstrap.operations.apply.cluster_locked", alone)
    monkeypatch.setattr("bootstrap.operations.session.run_plan", made.run)
    return made


@pytest.fixture
def types() -> Types:
    return typed


def test_its_entry_leaves_the_inventory_and_the_node_the_cluster(paper: Paper, types: Types) -> None:
    done = types("remove", "a1", "lab.yaml", "--yes")
    assert done.exit_code == 0, done.output
    assert FILE.read_text() == WITHOUT_A1
    assert paper.ran[0] == "a1/leave.cordon"
    assert "s1/handover" in paper.ran
    assert "a1 has left the cluster" in done.output
    assert paper.leaving == {}


def test_one_that_has_left_need_not_leave_again(paper: Paper, types: Types) -> None:
    types("remove", "a1", "lab.yaml", "--yes")
    assert paper.world.api is not None
    gone = dict(paper.world.api.objects)
    del gone["Node/a1"]
    ready = dict.fromkeys(("s1", "s2", "s3"), True)
    paper.world = dataclasses.replace(paper.world, api=dataclasses.replace(paper.world.api, ready=ready, objects=gone))
    paper.ran.clear()
    again = types("remove", "a1", "lab.yaml", "--yes")
    assert again.exit_code == 0
    assert "a1 has left the cluster (since " in again.output
    assert paper.ran == []


def test_a_name_that_no_one_has_is_answered_with_those_there_are(paper: Paper, types: Types) -> None:
    refused = types("remove", "a2", "lab.yaml", "--yes").exception
    assert isinstance(refused, BadUse)
    assert refused.problem == "there is no node a2"
    assert refused.got == "nodes: s1, s2, s3, a1"
    assert FILE.read_text() == INVENTORY


def test_nothing_is_done_while_no_one_says_yes(paper: Paper, types: Types) -> None:
    refused = types("remove", "a1", "lab.yaml").exception
    assert isinstance(refused, Refused)
    assert "a1 would leave the cluster paper" in refused.problem
    assert FILE.read_text() == INVENTORY
    assert (paper.ran, paper.leaving) == ([], {})


def test_what_was_interrupted_is_gone_on_with_as_it_was_asked_for(paper: Paper, types: Types) -> None:
    paper.fails = "a1/leave.drain"
    failed = types("remove", "a1", "lab.yaml", "--yes", "--wipe", "--force", "--drain-timeout", "30s")
    assert failed.exit_code == 3
    assert "to go on: clusterup remove a1 lab.yaml" in failed.output
    assert FILE.read_text() == WITHOUT_A1
    assert paper.leaving == {"a1": Manner(Disk.WIPE, Pods.DELETE, 30.0)}
    paper.fails = ""
    paper.ran.clear()
    assert types("remove", "a1", "lab.yaml", "--yes").exit_code == 0
    assert "a1/leave.wipe" in paper.ran
    assert paper.leaving == {}


def test_or_with_apply_prune(paper: Paper, types: Types) -> None:
    paper.fails = "a1/leave.drain"
    types("remove", "a1", "lab.yaml", "--yes", "--wipe")
    paper.fails = ""
    paper.ran.clear()
    assert types("apply", "lab.yaml", "--yes").exit_code == 0
    assert not [name for name in paper.ran if name.startswith("a1/")]
    assert types("apply", "lab.yaml", "--prune", "--yes").exit_code == 0
    assert "a1/leave.wipe" in paper.ran


def test_who_would_leave_two_servers_is_told_what_that_means_before_anything_is_done(
    paper: Paper, types: Types
) -> None:
    refused = types("remove", "s3", "lab.yaml", "--yes").exception
    assert isinstance(refused, BadUse)
    assert "2 servers: 2 of them have to be up" in str(refused)
    assert "write `allow_even_servers: true` below `cluster:` in lab.yaml" in refused.hint
    assert FILE.read_text() == INVENTORY
    assert paper.ran == []


def test_the_last_server_takes_the_cluster_with_it(paper: Paper, types: Types) -> None:
    FILE.write_text("".join(line for line in INVENTORY.splitlines(True) if "s2" not in line and "s3" not in line))
    refused = types("remove", "s1", "lab.yaml", "--yes").exception
    assert isinstance(refused, Refused)
    assert "clusterup down" in refused.hint


def test_plan_says_in_a_line_who_left_the_inventory_and_what_prune_would_do(paper: Paper, types: Types) -> None:
    FILE.write_text(WITHOUT_A1)
    said = types("plan", "lab.yaml").output
    assert "not in the inventory any more: a1; --prune would take it out of the cluster" in said
    assert "a1\n  leave:" not in said
    pruned = types("plan", "lab.yaml", "--prune", "-o", "json")
    ids = [action["id"] for action in json.loads(pruned.stdout.splitlines()[-1])["actions"]]
    assert ids[0] == "a1/leave.cordon"
    assert "--prune would" not in pruned.output


def test_a_saved_plan_with_prune_is_applied_with_prune(paper: Paper, types: Types) -> None:
    FILE.write_text(WITHOUT_A1)
    assert types("plan", "lab.yaml", "--prune", "--out", "plan.json").exit_code == 0
    done = types("apply", "--plan", "plan.json", "--yes")
    assert done.exit_code == 0, done.output
    assert "a1/leave.forget" in paper.ran


def test_a_disk_that_a_node_leaves_behind_is_not_erased_without_being_asked(paper: Paper, types: Types) -> None:
    FILE.write_text(WITHOUT_A1)
    refused = types("apply", "lab.yaml", "--prune", "--wipe", "a1").exception
    assert isinstance(refused, Refused)
    assert "disks would be erased" in refused.problem
    assert paper.ran == []


def test_a_node_that_joined_by_itself_leaves_the_cluster_and_its_machine_is_left_alone(
    paper: Paper, types: Types
) -> None:
    api = paper.world.api
    assert api is not None
    guest = {"metadata": {"name": "guest"}, "spec": {}, "status": {}}
    paper.world = dataclasses.replace(
        paper.world,
        api=dataclasses.replace(api, ready={**api.ready, "guest": False}, objects={**api.objects, "Node/guest": guest}),
    )
    done = types("remove", "guest", "lab.yaml", "--yes")
    assert done.exit_code == 0, done.output
    assert [name for name in paper.ran if name.startswith("guest/")] == [
        "guest/leave.cordon",
        "guest/leave.node",
        "guest/leave.forget",
    ]
    assert FILE.read_text() == INVENTORY
