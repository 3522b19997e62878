"""What a service of a node does around what it follows: threads that follow, a wake-up, and an end by SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from bootstrap.node.watch.follow import ApiServer, Follower, Kind
from bootstrap.node.watch.mirror import Mirror

T = TypeVar("T")
# How often is looked whether somebody has taken away what this node needs.
LOOK_SECONDS = 2.0
# What changes together is looked at together.
GATHER_SECONDS = 0.05
Round = Callable[[], str]
"""Does what is due, and returns what is wrong in words, or an empty text."""


class Service:
    """Until SIGTERM, which `stop` says. To be made by the main thread."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._wakers: list[threading.Event] = []
        signal.signal(signal.SIGTERM, self._end)

    def waker(self) -> threading.Event:
        """What wakes somebody who waits, at the end of the service too."""
        woken = threading.Event()
        self._wakers.append(woken)
        return woken

    def follow(self, kind: Kind[T], server: ApiServer, woken: threading.Event) -> Mirror[T]:
        """A mirror of what the cluster has of that kind, which a thread keeps, and which wakes whoever waits."""
        mirror: Mirror[T] = Mirror(woken.set)
        follower = Follower(kind, server, mirror, say)
        threading.Thread(target=follower.run, args=(self.stop,), name=kind.name, daemon=True).start()
        return mirror

    def go_round(self, rounds: Sequence[Round], woken: threading.Event) -> None:
        """Round after round, at each change and now and then, until the end."""
        said = [""] * len(rounds)
        while not self.stop.is_set():
            for index, each in enumerate(rounds):
                problem = each()
                # The same trouble in every round would fill the journal and say nothing new.
                if problem != said[index]:
                    say(problem or "as the cluster has it")
                    said[index] = problem
            if woken.wait(LOOK_SECONDS):
                self.stop.wait(GATHER_SECONDS)
                woken.clear()

    def _end(self, *_: object) -> None:
        self.stop.set()
        for woken in self._wakers:
            woken.set()


def say(text: str) -> None:
    """A line for the journal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
