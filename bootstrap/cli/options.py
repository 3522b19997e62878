"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum


class Output(StrEnum):
    """For a person or for a machine."""

    TEXT = "text"
    JSON = "json"


class PlanOutput(StrEnum):
    """For a person, for a machine that reads lines, or as one document."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"
