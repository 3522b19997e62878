"""clusterup validate, schema, init."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bootstrap.cli.options import DEFAULT_INVENTORY, Output, file_of, file_or_input

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootstrap.inventory.load import ReadInventory
    from bootstrap.inventory.written_file.positions import Problem

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def register(app: typer.Typer) -> None:
    """Add the commands about inventories to `app`."""
    app.command()(validate)
    app.command()(schema)
    app.command()(init)


def validate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=file_or_input,
            metavar="FILE...",
            help="Inventories to check; - is standard input. Default: inventory.yaml.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    elsewhere: Annotated[
        bool,
        typer.Option("--elsewhere", help="Applied from another machine: don't look here for the files that it names."),
    ] = False,
) -> None:
    """Check inventories without touching any node: every problem with file, line and column.

    Keys, passwords' files and folders that an inventory names have to be there.
    """
    from bootstrap.errors import ClusterupError
    from bootstrap.inventory.load import InventoryErrors

    results: list[dict[str, Any]] = []
    for file in files or (DEFAULT_INVENTORY,):
        try:
            written = _read(file, elsewhere=elsewhere)
        except InventoryErrors as error:
            problems = [
                {"line": p.line, "column": p.column, "found": p.found, "allowed": p.allowed, "nearest": p.nearest}
                for p in error.problems
            ]
            results.append({"file": str(file), "problems": problems, "text": str(error)})
        except ClusterupError as error:
            results.append({"file": str(file), "problems": [{"found": error.got or error.problem}], "text": str(error)})
        else:
            servers, agents = len(written.inventory.servers), len(written.inventory.agents)
            text = f"{file}: fine: {_count(servers, 'server')}, {_count(agents, 'agent')}"
            notes = list(_notes(written))
            results.append({"file": str(file), "problems": [], "notes": notes, "text": text})
    if output is Output.JSON:
        typer.echo(json.dumps([{k: v for k, v in r.items() if k != "text"} for r in results], indent=1))
    else:
        for result in results:
            typer.echo(result["text"], err=bool(result["problems"]))
            for note in result.get("notes", ()):
                typer.echo(f"{result['file']}: note: {note}", err=True)
    if any(result["problems"] for result in results):
        raise typer.Exit(2)


def _count(number: int, of_what: str) -> str:
    return f"{number} {of_what}" if number == 1 else f"{number} {of_what}s"


def _notes(written: ReadInventory) -> Iterator[str]:
    """What is no mistake of the inventory, and what a person should know before a plan says it."""
    from bootstrap.errors import BadUse

    version = written.inventory.kubernetes.version
    if version is None:
        return
    from bootstrap.image.sources import require_supported

    try:
        require_supported(version)
    except BadUse as error:
        yield f"{error.problem} ({error.got}): no new cluster is made of it"


def _read(file: Path, *, elsewhere: bool) -> ReadInventory:
    """The inventory. Raises InventoryErrors with all that is wrong with it, files that are not there included unless it
    is for `elsewhere`."""
    from bootstrap.inventory.files import missing_files
    from bootstrap.inventory.load import InventoryErrors, read_inventory

    try:
        written = read_inventory(file)
    except InventoryErrors as error:
        if elsewhere or error.readable is None:
            raise
        every = [*error.problems, *missing_files(error.readable), *_of_manifests(file, error.readable)]
        raise InventoryErrors(sorted(every, key=lambda problem: (problem.line, problem.column))) from None
    if not elsewhere and (missing := [*missing_files(written), *_of_manifests(file, written)]):
        raise InventoryErrors(missing)
    return written


def _of_manifests(file: Path, written: ReadInventory) -> Iterator[Problem]:
    """What is wrong with the manifests that the inventory names; those on servers are not fetched for that."""
    from bootstrap.inventory.text import printable
    from bootstrap.inventory.written_file.positions import Problem
    from bootstrap.manifests.sources import troubles_of

    for number, error in troubles_of(written.inventory.manifests, file):
        place = written.document.at(("manifests", number))
        yield Problem(written.document.file, *place, printable(f"{error.problem}: {error.got} ({error.hint})"))


def schema() -> None:
    """Print the inventory's JSON Schema, with which editors complete and check.

    In an inventory's first line: # yaml-language-server: $schema=clusterup.schema.json
    """
    from bootstrap.inventory.model import Inventory

    document = {"$schema": SCHEMA_DIALECT, **Inventory.model_json_schema(), "title": "clusterup inventory"}
    typer.echo(json.dumps(document, indent=1))


def init(
    file: Annotated[Path, typer.Argument(parser=file_of, metavar="FILE", help="Where to write it.")] = Path(
        "inventory.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented inventory to start from."""
    from bootstrap.errors import BadUse
    from bootstrap.paths import templates_dir

    if file.exists() and not force:
        raise BadUse(
            f"{file} is there already",
            step="init",
            tried=f"write {file}",
            hint="name another file, or --force to replace it",
        )
    try:
        file.write_text((templates_dir() / "inventory" / "inventory.yaml").read_text())
    except OSError as error:
        raise BadUse(
            f"{file} can't be written", step="init", got=str(error.strerror), hint="name a file in a folder of yours"
        ) from None
    typer.echo(f"wrote {file}; put your machines into it, then: clusterup plan {file}")
