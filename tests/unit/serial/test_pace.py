"""How large chunks become on lines of different kinds."""

from __future__ import annotations

import math

import pytest

from bootstrap.transport.serial.protocol.rate import LARGEST, SMALLEST, SendRate


def sent(pace: SendRate, total: int, rate: float, each: float, errors: float) -> list[int]:
    """Sizes of the chunks in which `total` bytes go over a line of that rate, `each` seconds a chunk, errors a byte."""
    sizes: list[int] = []
    owed = 0.0
    while sum(sizes) < total:
        size = pace.size
        sizes.append(size)
        owed += 1 - math.exp(-errors * size)
        if owed >= 1:
            owed -= 1
            pace.damaged(size)
        else:
            pace.carried(size, each + size / rate)
    return sizes


def test_chunks_grow_on_a_clean_line_until_there_is_nothing_more_to_gain() -> None:
    assert sent(SendRate(), 10_000_000, 1e6, 0.01, 0)[-1] == LARGEST
    assert sent(SendRate(), 1_000_000, 11_520, 0.01, 0)[-1] < 2.1 * 11_520


@pytest.mark.parametrize(("rate", "each"), [(11_520, 0.001), (100_000, 0.01), (1e6, 0.01)])
def test_chunks_find_their_best_size_on_a_bad_line(rate: float, each: float) -> None:
    errors = 1e-4
    sizes = sent(SendRate(), 3_000_000, rate, each, errors)[-200:]

    def good(size: float) -> float:
        return size * math.exp(-errors * size) / (size / rate + each + 90 / rate)

    best = max(good(size) for size in range(SMALLEST, 20_000, 50))
    assert good(sum(sizes) / len(sizes)) > 0.85 * best


def test_a_line_that_damages_everything_gets_the_smallest_chunks() -> None:
    pace = SendRate()
    for _ in range(20):
        pace.damaged(pace.size)
    assert pace.size == SMALLEST
