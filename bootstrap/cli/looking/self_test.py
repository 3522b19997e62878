"""clusterup self-test."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bootstrap.cli.options import Output


def register(app: typer.Typer) -> None:
    """Add self-test to `app`."""
    app.command()(self_test)


def self_test(
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
) -> None:
    """See whether this clusterup is whole, and which programs of this machine it finds.

    Everything of it is imported and read; nothing is written, and no node is asked. It ends with 1 where something of
    it is missing. A program that is not found is none of that: the commands that want it say so.
    """
    import json

    from bootstrap import __version__
    from bootstrap.cli.described.pages import man_pages
    from bootstrap.cli.described.shells import SCRIPTS
    from bootstrap.cli.described.tree import read_tree
    from bootstrap.errors import ClusterupError
    from bootstrap.host.build_info import FILE, build_info, executable, version_words
    from bootstrap.operations.self_test import BUILT, checks, programs

    def described() -> str:
        return f"{len(SCRIPTS)} shells, {len(list(man_pages(read_tree(), __version__)))} pages"

    checked = list(checks(("completion and man pages", described)))
    looked = programs()
    broken = any(each.wrong and each.what == BUILT for each in checked)
    built = None if broken else build_info()
    wrong = [each for each in checked if each.wrong]
    if output is Output.JSON:
        said = {
            "version": __version__,
            "build": asdict(built) if built else None,
            "whole": not wrong,
            "checks": [asdict(each) for each in checked],
            "programs": [asdict(each) for each in looked],
        }
        typer.echo(json.dumps(said))
    else:
        typer.echo(version_words(__version__, built))
        for each in checked:
            typer.echo(f"{'WRONG' if each.wrong else 'ok':<7} {each.what}: {each.wrong or each.found}")
        for program in looked:
            where = program.path or f"not found; {program.install or 'no package of it is known here'}"
            typer.echo(f"{'found' if program.path else 'absent':<7} {program.name} ({program.purpose}): {where}")
    if wrong:
        raise ClusterupError(
            f"this clusterup is not whole: {', '.join(each.what for each in wrong)}",
            step="self-test",
            got=wrong[0].wrong,
            hint=f"remove {FILE.parents[2]}, from where it is unpacked again" if executable() else "install it again",
        )
