"""Options that several commands share."""

from __future__ import annotations

import pytest
import typer

from bootstrap.cli.options import patience_of, seconds_of
from bootstrap.engine.lock import FOREVER


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600), ("2d", 172800), ("1h30m", 5400), ("0", 0)],
)
def test_times_are_written_as_people_write_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5h", "10 m", "1w", "m", "1h30", "1m30"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a time"):
        seconds_of(text)


def test_without_the_options_no_one_waits_and_with_a_time_no_longer_than_that() -> None:
    assert patience_of(wait_for_lock=False, wait_at_most=None).seconds == 0
    assert patience_of(wait_for_lock=True, wait_at_most=None).seconds == FOREVER
    assert patience_of(wait_for_lock=True, wait_at_most=60.0).seconds == 60
    assert patience_of(wait_for_lock=False, wait_at_most=60.0).seconds == 60
