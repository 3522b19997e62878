"""The command line: registers the commands, and turns every failure into words and an exit code."""

from __future__ import annotations

import os
import sys

import typer

from bootstrap.cli import apply, image, inventory, journal, lab, status
from bootstrap.errors import ClusterupError

app = typer.Typer(
    name="clusterup",
    help="Bare machines to a Kubernetes cluster on a micro OS: one command, one file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
inventory.register(app)
apply.register(app)
status.register(app)
journal.register(app)
image.register(app)
lab.register(app)


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 failed, 2 bad use, 3 partly done, 4 refused, 130
    interrupted."""
    try:
        app()
    except ClusterupError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n  next: run the same command again; it goes on from what is true by then\n")
        sys.stderr.flush()
        # Questions under way to nodes that don't answer would keep the process for as long as their time-outs.
        os._exit(130)
    except BrokenPipeError:
        # The reader of a pipe has what it wanted; Python would complain again when it flushes at exit.
        sys.stdout = None
        sys.exit(0)
