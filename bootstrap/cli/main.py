"""The command line: has a command done, and turns every failure into words and an exit code."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer

from bootstrap import __version__
from bootstrap.cli.described import UNREAD
from bootstrap.cli.described.lazy import USAGE_ERROR, KnowsOthers, OnDemand
from bootstrap.cli.described.pages import help_page
from bootstrap.cli.described.tree import read_tree
from bootstrap.errors import ClusterupError
from bootstrap.signals import end_interrupted
from bootstrap.system_errors import as_error

SHOW, INSTALL = "--show-completion", "--install-completion"


class CtrlC(Exception):
    """A person pressed Ctrl-C (or Ctrl-D, as the answer to a question)."""


class Unread(Exception):
    """The reader of standard output or standard error is gone."""


class Commands(KnowsOthers):
    """All commands. Ctrl-C and pipes without a reader are left to `main`: Typer would end without a word, and only when
    every thread has ended."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.described = read_tree()
        self.commands = OnDemand(self.described)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        formatter.write(help_page(self.described, shutil.get_terminal_size().columns))

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Read the command line. Raises Unread, USAGE_ERROR."""
        try:
            return super().make_context(*arguments, **settings)
        except BrokenPipeError:
            raise Unread from None
        except USAGE_ERROR as error:
            raise _of_a_script(error) from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises CtrlC where it was interrupted, Unread."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort):
            raise CtrlC from None
        except BrokenPipeError:
            raise Unread from None
        except USAGE_ERROR as error:
            raise _of_a_script(error) from None


app = typer.Typer(
    name="clusterup",
    cls=Commands,
    help="Bare machines to a Kubernetes cluster on a micro OS: one command, one file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from bootstrap.host.build_info import build_info, version_words

        typer.echo(version_words(__version__, build_info()))
        raise typer.Exit


def _show_completion(shell: str | None) -> None:
    if shell is not None:
        from bootstrap.cli.described.shells import SCRIPTS, shell_named

        typer.echo(SCRIPTS[shell_named(shell)], nl=False)
        raise typer.Exit


def _install_completion(shell: str | None) -> None:
    if shell is not None:
        from bootstrap.cli.described.shells import install, shell_named

        typer.echo("\n".join(install(shell_named(shell))))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    show_completion: Annotated[
        str | None,
        typer.Option(
            SHOW,
            metavar="[SHELL]",
            callback=_show_completion,
            is_eager=True,
            help="Print the completion for a shell: bash, zsh, fish. Default: yours.",
        ),
    ] = None,
    install_completion: Annotated[
        str | None,
        typer.Option(
            INSTALL,
            metavar="[SHELL]",
            callback=_install_completion,
            is_eager=True,
            help="Write it where the shell looks for it.",
        ),
    ] = None,
) -> None:
    """Bare machines to a Kubernetes cluster on a micro OS: one command, one file."""


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 failed, 2 bad use, 3 partly done, 4 refused, 130
    interrupted, 141 when no one reads what it says. What no one expected is said in the same way as any other
    failure."""
    try:
        try:
            _run_with_programs()
        finally:
            _write_out()
    except ClusterupError as error:
        end_with(error)
    except CtrlC:
        end_interrupted()
    except (BrokenPipeError, Unread):
        _end_unread()
    except Exception as error:
        if os.environ.get("CLUSTERUP_TRACEBACK") and not isinstance(error, OSError):
            raise
        end_with(_unexpected(error))


def _run_with_programs() -> None:
    """As `_run`; where programs of this machine are missing, a person may have them installed, and it begins anew."""
    try:
        _run()
    except ClusterupError as error:
        from bootstrap.cli.missing_programs import begin_anew, offered

        if offered(error):
            begin_anew()
        raise


def _run() -> None:
    if sys.argv[1:] in ([SHOW], [INSTALL]):
        from bootstrap.cli.described.shells import shell_named

        # The value of an option can't be left out; here it can.
        sys.argv.append(shell_named(None))
    app()


def _write_out() -> None:
    """What was said and not yet written. Raises OSError where it can't be, so that it is known."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def _of_a_script(error: Exception) -> Exception:
    # What checks the values of options begins with a word of its own.
    error.message = str(error.message).replace("Value error, ", "")  # type: ignore[attr-defined]
    if "--detailed-exitcode" in sys.argv:
        # 2 says that there is something to do.
        error.exit_code = ClusterupError.exit_code  # type: ignore[attr-defined]
    return error


def _unexpected(error: Exception) -> ClusterupError:
    """What to say of a failure that no command has words for."""
    from bootstrap.cli.typed import typed

    return as_error(error, tried=typed(sys.argv[1:]))


def end_with(error: ClusterupError) -> NoReturn:
    """Say what went wrong, and end with its exit code."""
    try:
        with suppress(ValueError):
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
    except BrokenPipeError:
        _end_unread()
    except OSError:
        # A disk is full that standard error is on: the exit code has to do.
        sys.stderr = None
    sys.exit(error.exit_code)


def _end_unread() -> NoReturn:
    # Python would complain again when it flushes at exit.
    sys.stdout = sys.stderr = None
    sys.exit(UNREAD)
