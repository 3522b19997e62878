"""Options that several commands share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.outside import on_one_line

if TYPE_CHECKING:
    from bootstrap.engine.lock import Patience


if TYPE_CHECKING:
    from bootstrap.engine.lock import Patience

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Output(StrEnum):
    """For a person or for a machine."""

    TEXT = "text"
    JSON = "json"


class PlanOutput(StrEnum):
    """For a person, for a machine that reads lines, or as one document."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def seconds_of(text: str) -> float:
    """The seconds in "90", "90s", "10m" or "1h". Raises typer.BadParameter for anything else."""
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time: write seconds, or 90s, 10m, 1h")
    return float(found[1]) * SECONDS[found[2]]


WaitForLockOption = Annotated[
    bool,
    typer.Option(
        "--wait-for-lock", help="Wait while another clusterup is at work on the cluster. Ctrl-C ends the wait."
    ),
]
WaitAtMostOption = Annotated[
    float | None,
    typer.Option("--wait-at-most", parser=seconds_of, metavar="TIME", help="Wait for it, but no longer: 90s, 10m, 1h."),
]


def patience_of(wait_for_lock: bool, wait_at_most: float | None) -> Patience:
    """How long to wait for the locks, by the two options; what is waited for is told on standard error."""
    from bootstrap.engine.lock import FOREVER, Patience

    longest = FOREVER if wait_for_lock else 0.0
    return Patience(
        longest if wait_at_most is None else wait_at_most,
        say=lambda text: typer.echo(on_one_line(text), err=True),
        hint="wait until it has ended, or let this wait: --wait-for-lock; a dead holder's lock ends by itself",
    )


# Of whoever joins machines with a token.
ServerOption = Annotated[
    str,
    typer.Option("--server", metavar="URL", help="A server of the cluster: https://HOST:6443.", show_default=False),
]
PinOption = Annotated[
    list[str] | None,
    typer.Option("--ca-cert-hash", metavar="PIN", help="The cluster's authority: sha256:.... Repeatable."),
]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", metavar="T", help="The token, or - for standard input. Who uses ps can read it here."),
]
TokenFileOption = Annotated[
    Path | None, typer.Option("--token-file", help="A file with the token on its first line, mode 0600.")
]
InterfaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--interface",
        metavar="MAC=NET",
        help="A network card of the installed system: MAC=dhcp or MAC=ADDRESS/PREFIX[,GATEWAY]. Repeatable. "
        "Default: DHCP on every wired card.",
    ),
]
MayWipeOption = Annotated[bool, typer.Option("--wipe", help="The disk may be erased though it holds data.")]
BundleOption = Annotated[
    str | None, typer.Option("--bundle", help="Folder of the bundle. Default: the newest one built here.")
]


@dataclass(frozen=True)
class How:
    """The person's wishes for the run."""

    output: Output
    verbose: bool
    wipe: bool
    yes: bool
    dry_run: bool
