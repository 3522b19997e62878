"""What of a lab's cluster is well, and what is missing."""

from __future__ import annotations

from bootstrap.lab.saves.health import LabFindings, missing
from bootstrap.lab.saves.saved import Health

WELL = Health(servers=("server-1", "server-2"), nodes=("agent-1", "server-1"))
ALL = frozenset({"server-1", "server-2"})
READY = frozenset({"server-1", "agent-1"})


def test_nothing_is_missing_where_all_is_well_that_was() -> None:
    assert missing(WELL, LabFindings(ALL, ALL, READY)) == []
    # More may be well than was.
    assert missing(WELL, LabFindings(ALL | {"server-3"}, ALL | {"server-3"}, READY | {"server-2"})) == []


def test_what_is_missing_is_named() -> None:
    assert missing(WELL, LabFindings()) == [
        "a leader of etcd on server-1, server-2",
        "the API server on server-1, server-2",
        "Ready of agent-1, server-1",
    ]
    assert missing(WELL, LabFindings(ALL, ALL, frozenset({"server-1"}))) == ["Ready of agent-1"]


def test_where_nothing_was_well_nothing_is_waited_for() -> None:
    assert missing(Health((), ()), LabFindings()) == []
