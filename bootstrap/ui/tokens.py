"""Tokens as a person reads them: one line each, aligned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from bootstrap.outside import on_one_line
from bootstrap.times import in_words
from bootstrap.tokens.listing import KnownToken

_HEAD = ("ID", "ROLE", "ENDS IN", "LEFT", "NODE", "DESCRIPTION")


def token_lines(tokens: Sequence[KnownToken], now: datetime) -> Iterator[str]:
    """A head, and a line for each token."""
    rows = [_HEAD, *(_row(token, now) for token in tokens)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(token: KnownToken, now: datetime) -> tuple[str, ...]:
    left = f"{token.left} of {token.uses}" if token.uses is not None else "any"
    cells = token.id, token.role, _ends(token, now), left, token.node or "any", token.description or "-"
    # Whoever may write Secrets must not write on a terminal.
    return tuple(map(on_one_line, cells))


def _ends(token: KnownToken, now: datetime) -> str:
    if token.expires is None:
        return "never"
    return "EXPIRED" if token.expired(now) else in_words(token.expires - now)
