"""Failures of the protocol, as everything that clusterup says of what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.protocol.failure import Failure, Kind

_ERRORS: dict[Kind, type[ClusterupError]] = {
    Kind.BAD_USE: BadUse,
    Kind.REFUSED: Refused,
    Kind.FAILED: ClusterupError,
}


@contextmanager
def in_own_words(step: str | None = None) -> Iterator[None]:
    """A Failure in the block is raised as the ClusterupError that it is, of that step."""
    try:
        yield
    except Failure as failure:
        raise _ERRORS[failure.kind](
            failure.problem,
            step=step,
            tried=failure.tried or None,
            got=failure.got or None,
            hint=failure.hint,
        ) from None
