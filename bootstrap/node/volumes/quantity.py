"""Amounts of bytes as Kubernetes writes them.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_LONGEST = 60
_IN_WORDS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def bytes_of(quantity: str) -> int:
    """How many bytes that is, as in 1Gi, 1500M, 2e9, 0.5Ti; what is left of a byte counts as one. Raises ValueError."""
    found = _QUANTITY.fullmatch(quantity) if len(quantity) <= _LONGEST else None
    if found is None:
        raise ValueError(f"{quantity[:_LONGEST]!r} is no quantity")
    number, suffix, exponent = found.groups()
    if suffix in _BINARY:
        value = Decimal(number) * (1 << _BINARY[suffix])
    else:
        value = Decimal(number).scaleb(int(exponent) if exponent else _DECIMAL[suffix or ""])
    return int(value.to_integral_value(ROUND_CEILING))


def in_words(amount: int) -> str:
    """As a person reads it: 1.5 GiB."""
    value, unit = float(max(amount, 0)), 0
    while value >= 1024 and unit < len(_IN_WORDS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}".removesuffix(".0") + f" {_IN_WORDS[unit]}"
