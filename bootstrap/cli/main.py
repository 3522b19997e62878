"""The command line: registers the commands, and turns every failure into words and an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from bootstrap.cli import (
    adopt,
    apply,
    console,
    down,
    image,
    inventory,
    join,
    journal,
    lab,
    remove,
    status,
    stick,
    token,
)
from bootstrap.errors import ClusterupError
from bootstrap.signals import end_interrupted
from bootstrap.system_errors import as_error

# Typer hands on what its parser raises, and has no name of its own for it.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


class CtrlC(Exception):
    """A person pressed Ctrl-C (or Ctrl-D, as the answer to a question)."""


class Commands(TyperGroup):
    """All commands. Ctrl-C is left to `main`: Typer would end without a word, and only when every thread has ended."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises CtrlC where it was interrupted."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort):
            raise CtrlC from None
        except USAGE_ERROR as error:
            if "--detailed-exitcode" in sys.argv:
                # 2 says that there is something to do.
                error.exit_code = ClusterupError.exit_code  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    name="clusterup",
    cls=Commands,
    help="Bare machines to a Kubernetes cluster on a micro OS: one command, one file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
inventory.register(app)
apply.register(app)
remove.register(app)
status.register(app)
down.register(app)
console.register(app)
journal.register(app)
image.register(app)
adopt.register(app)
token.register(app)
join.register(app)
stick.register(app)
lab.register(app)


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 failed, 2 bad use, 3 partly done, 4 refused, 130
    interrupted. What no one expected is said in the same way as any other failure."""
    try:
        app()
    except ClusterupError as error:
        end_with(error)
    except CtrlC:
        end_interrupted()
    except BrokenPipeError:
        # The reader of a pipe has what it wanted; Python would complain again when it flushes at exit.
        sys.stdout = None
        sys.exit(0)
    except Exception as error:
        if os.environ.get("CLUSTERUP_TRACEBACK") and not isinstance(error, OSError):
            raise
        end_with(_unexpected(error))


def _unexpected(error: Exception) -> ClusterupError:
    """What to say of a failure that no command has words for."""
    from bootstrap.cli.typed import typed

    return as_error(error, tried=typed(sys.argv[1:]))


def end_with(error: ClusterupError) -> NoReturn:
    """Say what went wrong, and end with its exit code."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
    sys.exit(error.exit_code)
