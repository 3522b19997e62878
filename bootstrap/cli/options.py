"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum


class Output(StrEnum):
    """For a person or for a machine."""

    TEXT = "text"
    JSON = "json"
