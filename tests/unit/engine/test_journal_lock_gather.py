"""The journal, the lock beside the state, and facts of many nodes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from bootstrap.engine.connections import Connections
from bootstrap.engine.events import ActionFailed, ActionProgress, Event, FactsRead, unobserved
from bootstrap.engine.gather import gather
from bootstrap.engine.journal import Journal
from bootstrap.engine.lock import FOREVER, Patience, file_lock
from bootstrap.errors import ClusterupError, Interrupted, Refused
from bootstrap.protocol.holder import Holder, holder_in_words
from bootstrap.transport.base import Transport
from bootstrap.transport.errors import TransportError


class Way:
    """A way into a node that does nothing but be closed."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.closed = False
        self.alive = True

    def close(self) -> None:
        self.closed = True


def open_way(node: str) -> Transport:
    if node.startswith("down"):
        raise TransportError("no answer", node=node, hint="is it on?")
    return cast(Transport, Way(node))


def test_an_unreachable_node_stops_no_one_else() -> None:
    seen: list[Event] = []
    found = gather(
        ["s1", "down1", "s2"], lambda way: way.node.upper(), Connections(open_way), parallel=8, observe=seen.append
    )
    assert found.values == {"s1": "S1", "s2": "S2"}
    assert set(found.errors) == {"down1"}
    assert sorted(event.node for event in seen if isinstance(event, FactsRead)) == ["down1", "s1", "s2"]


def test_facts_of_several_nodes_are_read_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=20)
    found = gather(
        ["a", "b", "c"], lambda _: together.wait() >= 0, Connections(open_way), parallel=3, observe=unobserved
    )
    assert found.values == {"a": True, "b": True, "c": True}


def test_a_way_in_that_was_lost_is_opened_again_and_one_that_leads_there_is_kept() -> None:
    connections = Connections(open_way)
    first = cast(Way, connections.on("s1"))
    first.alive = False
    second = cast(Way, connections.on("s1"))
    assert second is not first
    assert first.closed
    assert cast(Way, connections.on("s1")) is second


def test_of_the_ways_in_only_those_stay_open_that_are_needed_again() -> None:
    opened: dict[str, Way] = {}

    def open_and_note(node: str) -> Transport:
        opened[node] = Way(node)
        return cast(Transport, opened[node])

    gather(["s1", "a1"], lambda way: way.node, Connections(open_and_note), parallel=1, observe=unobserved, keep=["s1"])
    assert {name: way.closed for name, way in opened.items()} == {"s1": False, "a1": True}


def test_a_way_in_is_opened_once_and_closed_before_it_is_opened_again() -> None:
    connections = Connections(open_way)
    first = cast(Way, connections.on("s1"))
    assert cast(Way, connections.on("s1")) is first
    second = cast(Way, connections.reopen("s1"))
    assert first.closed
    assert second is not first
    connections.close_all()
    assert second.closed


class Handover:
    """A node's lock, behind which another thread is waiting: it comes to its turn at the moment of the release."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._then: Callable[[], None] | None = then

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        then, self._then = self._then, None
        if then is not None:
            other = threading.Thread(target=then)
            other.start()
            other.join()


def test_a_way_in_that_another_thread_drops_while_it_is_handed_out_is_one_that_was_lost() -> None:
    connections = Connections(open_way)
    connections._locks["s1"] = cast(threading.Lock, Handover(lambda: connections.drop("s1")))
    first = cast(Way, connections.on("s1"))
    assert first.closed
    assert not cast(Way, connections.on("s1")).closed


def test_the_journal_has_a_line_for_each_event_but_progress(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state" / "journal.jsonl", "r1")
    journal(ActionProgress(id="a", node="s1", step="install", title="write", done=1, total=2))
    error = ClusterupError("it broke", hint="fix it")
    journal(ActionFailed(id="a", node="s1", step="install", title="write", seconds=1.5, error=error))
    journal.close()
    (line,) = (tmp_path / "state" / "journal.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["run"]) == ("ActionFailed", "r1")
    assert "fix it" in entry["error"]


def test_the_second_clusterup_is_told_who_is_at_work(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        file_lock(lock, "apply lab.yaml"),
        pytest.raises(Refused, match="another clusterup") as refused,
        file_lock(lock, "apply again"),
    ):
        raise AssertionError("both are in")
    assert "apply lab.yaml" in str(refused.value)
    with file_lock(lock, "apply again"):
        assert lock.exists()


def test_who_waits_for_the_lock_is_told_whose_it_is_and_gets_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    said: list[str] = []
    with ExitStack() as first:
        first.enter_context(file_lock(lock, "apply lab.yaml"))

        def say(text: str) -> None:
            said.append(text)
            first.close()

        with file_lock(lock, "apply again", Patience(FOREVER, say)):
            assert "apply again" in lock.read_text()
    (line,) = said
    assert line.startswith("waiting for the lock, held by ")
    assert line.endswith(": apply lab.yaml")


def test_an_abort_ends_the_wait_for_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    abort = threading.Event()
    with (
        file_lock(lock, "apply lab.yaml"),
        pytest.raises(Interrupted) as stopped,
        file_lock(lock, "apply again", Patience(FOREVER, lambda _: abort.set(), abort)),
    ):
        raise AssertionError("both are in")
    assert stopped.value.exit_code == 130


def test_a_note_of_another_release_names_no_one_and_still_holds(tmp_path: Path) -> None:
    assert holder_in_words(b'{"pid": 1, "host": "desk"}') == "somebody who has not said yet who it is"
    assert holder_in_words(b"") == "somebody who has not said yet who it is"
    note = Holder("anna", "desk", 1, "now", "apply").note()[:-1] + b', "later": "field"}'
    assert holder_in_words(note) == "anna on desk (process 1) since now: apply"


def test_a_killed_holder_s_lock_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = (
        "import sys, pathlib\nfrom bootstrap.engine.lock import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1]), 'apply'):\n print('in', flush=True)\n sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        with pytest.raises(Refused, match="another clusterup") as refused, file_lock(lock, "apply"):
            raise AssertionError("both are in")
        assert f"process {holder.pid}" in str(refused.value)
        holder.kill()
        holder.wait()
    with file_lock(lock, "apply"):
        assert lock.exists()
