"""As many sessions at once as the server takes, which says it by refusing one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bootstrap.transport import sessions as own_sessions
from bootstrap.transport.sessions import MOST, Sessions


class Refused(Exception):
    """The server's no."""


class Server:
    """A server that allows so many at once, and notices an end only after so many further questions."""

    def __init__(self, allows: int, *, notices_after: int = 0) -> None:
        self.allows, self.notices_after = allows, notices_after
        self.open = self.most = self.refusals = 0
        self.ended: list[int] = []
        self.guard = threading.Lock()

    def opens(self) -> str:
        with self.guard:
            self.ended = [left - 1 for left in self.ended]
            self.open -= sum(left < 0 for left in self.ended)
            self.ended = [left for left in self.ended if left >= 0]
            if self.open >= self.allows:
                self.refusals += 1
                raise Refused
            self.open += 1
            self.most = max(self.most, self.open)
            return "session"

    def closes(self) -> None:
        with self.guard:
            self.ended.append(self.notices_after)


def ran(server: Server, sessions: Sessions, held: threading.Barrier | None = None) -> str:
    got = sessions.opened(server.opens, Refused)
    if held is not None:
        held.wait(10)
    server.closes()
    sessions.closed()
    return got


@pytest.mark.parametrize("allows", [1, 2, 3, 100])
def test_all_get_theirs_however_few_the_server_allows(allows: int) -> None:
    server, sessions = Server(allows, notices_after=1), Sessions()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: ran(server, sessions), range(60))) == {"session"}
    assert server.most <= min(allows, MOST)


def test_what_it_allows_is_learned_and_not_asked_for_again() -> None:
    server, sessions = Server(2), Sessions()
    both = threading.Barrier(2)
    with ThreadPoolExecutor(3) as pool:
        held = [pool.submit(ran, server, sessions, both) for _ in range(2)]
        third = pool.submit(ran, server, sessions)
        assert [each.result(10) for each in (*held, third)] == ["session"] * 3
    assert sessions.most in (2, MOST)


def test_a_server_that_is_slow_to_notice_an_end_is_asked_again() -> None:
    server, sessions = Server(1, notices_after=3), Sessions()
    assert [ran(server, sessions) for _ in range(3)] == ["session"] * 3
    assert server.refusals > 0


def test_a_server_that_allows_none_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_sessions, "SETTLING", 0.1)
    with pytest.raises(Refused):
        ran(Server(0), Sessions())
