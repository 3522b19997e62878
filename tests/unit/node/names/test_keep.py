"""The node's agent keeps unbound as the cluster is: at its start, after unbound's, through a change of name servers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.node.names import keep
from bootstrap.node.names.keep import SAVE_SECONDS, NameKeeper
from bootstrap.node.names.known import NOBODY
from bootstrap.node.names.records import Service, Slice
from bootstrap.node.names.unbound import NotRunning
from bootstrap.node.watch.mirror import Mirror

WEB = "web.default.svc.cluster.local."
# What unbound is asked before it is told everything.
LOOK = ("view_list_local_data changing", "list_local_zones", "list_local_data")


@dataclass
class Node:
    """A node with an unbound that only notes what it is told. `knows` is what it says that it knows."""

    folder: Path
    knows: str = ""
    refuses: bool = False
    resolvers: tuple[str, ...] = ("192.0.2.1",)
    now: float = 0.0
    told: list[tuple[str, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.services: Mirror[Service] = Mirror(lambda: None)
        self.slices: Mirror[Slice] = Mirror(lambda: None)
        settings = {
            "domain": "cluster.local",
            "address": "10.96.0.10",
            "control": "",
            "socket": str(self.folder / "control"),
            "known": str(self.folder / "kept" / "names.conf"),
            "loaded": str(self.folder / "names.conf"),
        }
        self.keeper = NameKeeper(
            settings,
            self.services,
            self.slices,
            run=self.run,
            resolvers=lambda: self.resolvers,
            clock=lambda: self.now,
        )

    def run(self, words: tuple[str, ...], given: str) -> str:
        if self.refuses:
            raise NotRunning("nobody listens")
        self.told.append((" ".join(words), given.splitlines()))
        return self.knows if words[0] == "list_local_data" else ""

    def starts(self) -> None:
        """unbound starts, in place of one that ran."""
        control = self.folder / "control"
        fresh = self.folder / "fresh"
        fresh.touch()
        fresh.rename(control)

    def round(self) -> list[str]:
        """One round; the commands that unbound was told in it."""
        before = len(self.told)
        self.problem = self.keeper.round()
        return [command for command, _ in self.told[before:]]

    @property
    def kept(self) -> str:
        return (self.folder / "kept" / "names.conf").read_text()


def web(*addresses: str) -> Service:
    return Service("default", "web", addresses, (), headless=False, external="", unready=False)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def settled(node: Node) -> Node:
    """With one Service, and unbound told of it."""
    node.starts()
    node.services.replace({"default/web": web("10.96.0.7")})
    node.slices.replace({})
    node.round()
    return node


def test_unbound_is_told_what_differs_from_what_it_knows(node: Node) -> None:
    node.knows = f"{WEB}\t5\tIN\tA\t10.96.0.6\nold.default.svc.cluster.local.\t5\tIN\tA\t10.96.0.5\n"
    settled(node)
    assert ("local_datas_remove", ["old.default.svc.cluster.local.", WEB]) in node.told
    assert ("local_datas", [f"{WEB} 5 IN A 10.96.0.7", f"7.0.96.10.in-addr.arpa. 5 IN PTR {WEB}"]) in node.told
    assert node.problem == ""
    assert node.round() == []


def test_before_everything_is_known_nothing_is_taken_away(node: Node) -> None:
    node.starts()
    node.knows = f"{WEB}\t5\tIN\tA\t10.96.0.7\n"
    node.services.replace({})
    assert node.round() == ["forward_add . 192.0.2.1"]
    node.slices.replace({})
    assert node.round() == [*LOOK, "local_datas_remove"]


def test_a_change_is_told_and_nothing_else(node: Node) -> None:
    settled(node).services.put("default/web", web("10.96.0.7", "2001:db8::7"))
    assert node.round() == ["local_datas"]


def test_an_unbound_that_started_anew_is_told_everything_again(node: Node) -> None:
    settled(node).starts()
    assert node.round() == ["forward_add . 192.0.2.1", *LOOK, "local_datas"]


def test_one_that_does_not_run_is_said_and_what_changes_meanwhile_is_told_later(node: Node) -> None:
    settled(node)
    (node.folder / "control").unlink()
    node.services.put("default/web", None)
    assert node.round() == []
    assert "does not run" in node.problem
    node.knows = f"{WEB}\t5\tIN\tA\t10.96.0.7\n"
    node.starts()
    assert node.round() == ["forward_add . 192.0.2.1", *LOOK, "local_datas_remove"]
    assert node.problem == ""


def test_what_unbound_does_not_take_is_said_and_looked_at_anew(node: Node) -> None:
    settled(node).refuses = True
    node.services.put("default/web", web("10.96.0.8"))
    node.round()
    assert "nobody listens" in node.problem
    node.refuses = False
    assert node.round()[:4] == ["forward_add . 192.0.2.1", *LOOK]


def test_other_name_servers_are_taken_over_and_what_the_old_ones_did_not_know_is_forgotten(node: Node) -> None:
    settled(node).resolvers = ("192.0.2.2", "192.0.2.3")
    assert node.round() == ["forward_add . 192.0.2.2 192.0.2.3", "flush_negative", "flush_infra all"]
    node.resolvers = ()
    assert node.round()[0] == f"forward_add . {NOBODY}"


def test_what_is_known_is_written_down_at_once_then_now_and_then_and_at_the_end(node: Node) -> None:
    settled(node)
    assert f'local-data: "{WEB} 5 IN A 10.96.0.7"' in node.kept
    assert node.kept.endswith("forward-addr: 192.0.2.1\n")
    node.services.put("default/web", web("10.96.0.8"))
    node.round()
    assert "10.96.0.7" in node.kept
    node.now += SAVE_SECONDS + 1
    node.round()
    assert "10.96.0.8" in node.kept
    node.services.put("default/web", web("10.96.0.9"))
    node.round()
    node.keeper.save()
    assert "10.96.0.9" in node.kept


def test_names_are_settled_when_unbound_that_runs_now_was_told_all_of_them(node: Node) -> None:
    node.services.replace({})
    node.slices.replace({})
    node.round()
    assert not node.keeper.fed
    node.starts()
    node.round()
    assert node.keeper.fed


def test_what_an_earlier_run_knew_is_not_overwritten_before_everything_is_known(node: Node) -> None:
    node.starts()
    node.services.replace({})
    node.round()
    node.now += SAVE_SECONDS + 1
    node.round()
    node.keeper.save()
    assert not (node.folder / "kept").exists()


def test_unbound_begins_again_before_the_names_that_are_gone_fill_its_memory(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep, "FORGOTTEN_BYTES", 5 * keep.STEP_BYTES)
    settled(node).services.put("default/web", web("10.96.0.8"))
    node.round()
    node.services.put("default/web", web("10.96.0.9"))
    assert node.round()[-1] == "reload_keep_cache"
    assert "10.96.0.9" in node.kept
    assert (node.folder / "names.conf").read_text() == node.kept
