"""Options that several commands share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.outside import on_one_line
from bootstrap.times import EXAMPLES, time_of

if TYPE_CHECKING:
    from bootstrap.engine.lock import Patience


class Output(StrEnum):
    """For a person or for a machine."""

    TEXT = "text"
    JSON = "json"


class PlanOutput(StrEnum):
    """For a person, for a machine that reads lines, or as one document."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


class Document(StrEnum):
    """How one document is written."""

    YAML = "yaml"
    JSON = "json"


# Source: RFC 1035, 2.3.4
LONGEST_NAME = 253
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# In the place of a file's name.
STANDARD_OUTPUT = Path("-")


def seconds_of(text: str) -> float:
    """The seconds in a time as `bootstrap.times` reads it. Raises typer.BadParameter for anything else."""
    found = time_of(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a time: write {EXAMPLES}")
    return found.total_seconds()


def file_of(text: str) -> Path:
    """The file of that name; "-" is standard input or output wherever a command takes them, and never a file. Raises
    typer.BadParameter for it."""
    if text == str(STANDARD_OUTPUT):
        raise typer.BadParameter(
            "- is standard input or output, and this has to be a file: name one (./- for that name)"
        )
    return file_or_input(text)


def file_or_input(text: str) -> Path:
    """The file of that name, "-" as it is. `./-` is a file, and as a path it would not be another one."""
    path = Path(text)
    return Path.cwd() / path if path == STANDARD_OUTPUT and text != str(STANDARD_OUTPUT) else path


def host_name_of(text: str) -> str:
    """A name that can be looked up, without a dot at its end. Raises typer.BadParameter for anything else."""
    name = text.removesuffix(".")
    if len(name) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise typer.BadParameter(f"{text!r} is not a name that can be looked up: write one as in www.example.org")
    return name


def key_of(text: str) -> Path:
    """The private key of that name; its public half (.pub) may be there alone, where an agent has the other one. Raises
    typer.BadParameter where there is neither."""
    path = file_of(text).expanduser()
    if not path.is_file() and not path.with_name(f"{path.name}.pub").is_file():
        raise typer.BadParameter(f"there is no key {text}")
    return path


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


KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key", parser=key_of, metavar="FILE", help="A private key that it lets in. Default: the agent's, ~/.ssh/id_*."
    ),
]
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
    Path | None,
    typer.Option(
        "--token-file", parser=file_of, metavar="FILE", help="A file with the token on its first line, mode 0600."
    ),
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
    str | None,
    typer.Option("--bundle", metavar="BUNDLE", help="The bundle, a folder or a file. Default: the newest built here."),
]
InsteadOfBundleOption = Annotated[
    str | None,
    typer.Option(
        "--bundle", metavar="BUNDLE", help="A bundle, a folder or a file, in the place of the inventory's os.bundle."
    ),
]


@dataclass(frozen=True)
class How:
    """How a person wants to see a command, and how much of it is to be done at the same time; `diff`: what is other in
    files is shown."""

    output: Output | PlanOutput = Output.TEXT
    verbose: bool = False
    parallel: int = 16
    diff: bool = False


InventoryFile = Annotated[Path, typer.Argument(parser=file_of, metavar="INVENTORY", help="The inventory.")]
DEFAULT_INVENTORY = Path("inventory.yaml")
WipeOption = Annotated[
    list[str] | None,
    typer.Option("--wipe", metavar="NODE", help="A node whose disk may be erased though it holds data. Repeatable."),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text, or json: one object a line.")]
PruneOption = Annotated[
    bool,
    typer.Option(
        "--prune", help="Take nodes out of the cluster that were applied and are not in the inventory any more."
    ),
]
DiffOption = Annotated[
    bool, typer.Option("--diff", help="Show what is other in the files of nodes; secret ones are named alone.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show each command that runs on a node.")]
ParallelOption = Annotated[
    int, typer.Option("--parallel", min=1, metavar="N", help="How much is done at the same time.")
]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        parser=file_of,
        metavar="FILE",
        help="Where to write the kubeconfig. Default: NAME.kubeconfig beside the inventory.",
    ),
]


@dataclass(frozen=True)
class Agreed:
    """What a person said beforehand: whether the disk may be erased though it holds data (`wipe`) and without a
    question (`yes`), and whether anything may be done at all."""

    wipe: bool
    yes: bool
    dry_run: bool
