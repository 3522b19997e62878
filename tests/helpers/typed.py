"""Commands that are typed in this process."""

from __future__ import annotations

from functools import cache

import typer.testing
from typer.testing import CliRunner, Result

from bootstrap.cli.main import app

# To read the options of all commands takes longer than most commands do; it is done once.
typer.testing._get_command = cache(typer.testing._get_command)  # type: ignore[attr-defined]


def typed(*arguments: str) -> Result:
    """What comes of `clusterup ARGUMENTS`."""
    return CliRunner().invoke(app, list(arguments))
