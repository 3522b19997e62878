"""clusterup man."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootstrap.cli.options import file_of


def register(app: typer.Typer) -> None:
    """Add man to `app`."""
    app.command()(man)


def man(
    folder: Annotated[
        Path, typer.Argument(parser=file_of, metavar="FOLDER", help="Where to write them.", show_default=False)
    ],
) -> None:
    """Write the manual pages, one a command, to a folder: ~/.local/share/man/man1 is where `man` finds them.

    Pages of this name that are there are replaced.
    """
    from bootstrap import __version__
    from bootstrap.cli.described.pages import man_pages
    from bootstrap.cli.described.tree import read_tree
    from bootstrap.errors import BadUse
    from bootstrap.written import write

    try:
        folder.mkdir(parents=True, exist_ok=True)
        pages = list(man_pages(read_tree(), __version__))
        for name, text in pages:
            write(folder / name, text.encode(), 0o644)
    except OSError as error:
        raise BadUse(
            f"{folder} can't be written",
            step="man",
            got=error.strerror or str(error),
            hint="name a folder of yours",
        ) from None
    typer.echo(f"wrote {len(pages)} pages to {folder}; to read one: man clusterup-apply")
