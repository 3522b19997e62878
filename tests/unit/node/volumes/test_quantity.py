"""Amounts of bytes, as claims write them and as people read them."""

from __future__ import annotations

import pytest

from bootstrap.node.volumes.quantity import bytes_of, in_words


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0", 0),
        ("1", 1),
        ("1Ki", 1024),
        ("1Gi", 1 << 30),
        ("0.5Gi", 1 << 29),
        ("1.5Mi", 3 << 19),
        ("1500M", 1_500_000_000),
        ("1G", 1_000_000_000),
        ("2e9", 2_000_000_000),
        ("2E3", 2_000),
        ("1E", 10**18),
        ("1Ei", 1 << 60),
        (".5Ki", 512),
        ("5.", 5),
        ("1100m", 2),
        ("1n", 1),
        ("+1Ki", 1024),
    ],
)
def test_an_amount_is_read_as_kubernetes_does(quantity: str, expected: int) -> None:
    assert bytes_of(quantity) == expected


@pytest.mark.parametrize("quantity", ["", "Gi", "1 Gi", "1GiB", "1KI", "0x10", "1e", "1e999", "٣", "1" * 61])
def test_what_is_no_amount_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        bytes_of(quantity)


@pytest.mark.parametrize(
    ("amount", "expected"), [(0, "0 B"), (-5, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5 GiB")]
)
def test_an_amount_is_told_in_words(amount: int, expected: str) -> None:
    assert in_words(amount) == expected
