"""Asking etcd through whichever member answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

import pytest

from bootstrap.clients.etcd import EtcdClient, EtcdError
from bootstrap.clients.failover import AnyMember, Way


def member(name: str, ended: Callable[[], None]) -> Way:
    """A member whose connection does `ended` at its end."""

    @contextmanager
    def opened() -> Iterator[str]:
        yield name
        ended()

    return Way(name, lambda: cast(AbstractContextManager[EtcdClient], opened()))


def breaks() -> None:
    raise OSError("the connection is gone")


def test_a_connection_that_can_t_even_be_closed_keeps_no_one_from_the_next_member() -> None:
    members = AnyMember([member("s1", breaks), member("s2", breaks)])

    def only_s2(client: EtcdClient) -> str:
        if str(client) != "s2":
            raise EtcdError("no answer", hint="ask another")
        return str(client)

    assert members.ask(only_s2) == "s2"
    assert members.server == "s2"
    members.close()


def test_what_each_member_said_is_told_when_none_answers() -> None:
    asked: list[str] = []

    def none(client: EtcdClient) -> None:
        asked.append(str(client))
        raise EtcdError("no answer", got="a time-out", hint="ask another")

    with pytest.raises(EtcdError, match="no member of etcd answers") as failed:
        AnyMember([member("s1", lambda: None), member("s2", breaks)]).ask(none)
    assert asked == ["s1", "s2"]
    assert failed.value.got == "s1: no answer (a time-out); s2: no answer (a time-out)"
