"""Waiting for something that comes about by itself: one loop for all that wait.

A slow machine is not a failure: what was asked and did not answer is asked again until the time is over. What would be
answered in the same way for ever (`ClusterupError.final`) ends the wait at once, with its own words.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from bootstrap.errors import ClusterupError

T = TypeVar("T")
LOOK = "look at the node's journal, then run the command again: it goes on from here"


class TooLate(ClusterupError):
    """What was waited for did not come about in its time."""


def until(
    attempt: Callable[[], T | None],
    *,
    what: str,
    seconds: float,
    every: float,
    pause: Callable[[float], None] = time.sleep,
    told: Callable[[], str] = lambda: "",
    hint: str = LOOK,
) -> T:
    """What `attempt` gives, tried every `every` seconds until it is not None, for `seconds` and once at least.

    `pause` waits between two attempts, `told` says how far it is. Raises TooLate with what was waited for, how long,
    and the last answer; whatever an attempt raises that is final.
    """
    end = time.monotonic() + seconds
    while True:
        last: ClusterupError | None = None
        try:
            if (found := attempt()) is not None:
                return found
        except ClusterupError as error:
            if error.final:
                raise
            last = error
        if time.monotonic() >= end:
            raise TooLate(
                f"waited {seconds:.0f} s in vain for {what}",
                got=(last.problem + (f" ({last.got})" if last.got else "")) if last else told() or "not yet",
                hint=last.hint if last else hint,
            )
        pause(every)
