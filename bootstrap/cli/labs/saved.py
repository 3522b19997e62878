"""clusterup lab: save, restore, saved, forget."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.options import Output, file_of
from bootstrap.outside import on_one_line

if TYPE_CHECKING:
    from bootstrap.lab.saves.saved import Saved

SavedArgument = Annotated[
    str, typer.Argument(metavar="SAVED", help="The saved lab's name, as in ready.", show_default=False)
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def register(lab: typer.Typer) -> None:
    """Add the commands to those of the lab."""
    lab.command()(save)
    lab.command()(restore)
    lab.command()(saved)
    lab.command()(forget)


def save(
    name: SavedArgument,
    of: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the lab.")] = "lab",
    keep: Annotated[
        int, typer.Option("--keep", min=1, metavar="N", help="How often this lab may be saved, this time included.")
    ] = 8,
    yes: YesOption = False,
) -> None:
    """Put the whole lab aside as it is now: memory, disks, inventory, and the keys of its cluster.

    Its machines stand still for some seconds, and go on. `clusterup lab restore NAME` brings it back, running. Where
    this lab is saved more often than --keep, the oldest ones are forgotten, after a question.
    """
    from bootstrap.lab.saves.save import lab_save, lab_to_save
    from bootstrap.lab.saves.saved import check_saved_name, forget_saved, too_many

    check_saved_name(name)
    lab_to_save(of)
    going = too_many(of, keep)
    if going:
        told = "; ".join(_words(each) for each in going)
        _ask(f"The lab {of} is kept {keep} times at most. Forget {told}?", yes, "say --yes, or keep more with --keep")
    began = time.monotonic()
    made = lab_save(of, name, say=_say)
    for each in going:
        forget_saved(each.folder)
        _say(f"forgot {each.full_name}")
    _say(f"saved {_words(made)}; it took {time.monotonic() - began:.0f} s. It comes back with:")
    _say(f"  clusterup lab restore {name}")


def restore(
    name: SavedArgument,
    inventory: Annotated[
        Path | None,
        typer.Option(
            parser=file_of,
            metavar="FILE",
            help="Where to write the inventory. Default: where it was.",
            show_default=False,
        ),
    ] = None,
    yes: YesOption = False,
) -> None:
    """Bring a saved lab back, running: machines, inventory, and the keys of its cluster, all as they were.

    It ends when the cluster is well again: etcd has a leader, every API server answers, every Node is Ready (what was
    not well when it was saved is not waited for). A lab of the same name that is there ends first, after a question.
    """
    from bootstrap.lab.saves.restore import lab_restore
    from bootstrap.lab.saves.saved import find_saved
    from bootstrap.lab.store import load_lab

    found = find_saved(name)
    there = load_lab(found.lab.name)
    if there is not None:
        question = (
            f"The lab {there.name} ({there.words}) ends, disks and all, before that of {_when(found)} comes back."
        )
        _ask(f"{question} Go on?", yes, "save it first (clusterup lab save NAME), or say --yes")
    began = time.monotonic()
    lab = lab_restore(found, inventory or found.lab.inventory, say=_say)
    well = "" if found.health is None else ", and what was well of its cluster is well again"
    if found.was_whole:
        well = ", and its cluster is healthy"
    _say(f"the lab {lab.name} is back as of {_when(found)}{well}; it took {time.monotonic() - began:.0f} s")


def saved(
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
) -> None:
    """List the saved labs, the newest first: of which lab, when, how large, made of what."""
    from bootstrap.lab.saves.saved import all_saved, saves_dir

    found = all_saved()
    if output is Output.JSON:
        typer.echo(json.dumps([_as_data(each) for each in found], indent=1))
        return
    if not found:
        _say("nothing is saved: clusterup lab save NAME puts the lab aside as it is")
        return
    rows = [("NAME", "LAB", "SAVED", "SIZE", "MACHINES", "KUBERNETES")]
    rows += [
        (each.full_name, each.lab.name, _when(each), _size(each.size), each.lab.words, each.kubernetes)
        for each in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    _say(f"{_size(sum(each.size for each in found))} in {saves_dir()}")


def forget(name: SavedArgument, yes: YesOption = False) -> None:
    """Remove a saved lab, after a question. Labs that were restored from it go on."""
    from bootstrap.errors import BadUse, ClusterupError
    from bootstrap.lab.saves.saved import folders_named, forget_saved, read_saved

    folders = folders_named(name)
    if len(folders) > 1:
        raise BadUse(
            f"there are {len(folders)} saved labs of the name {name}",
            step="lab forget",
            got=", ".join(folder.name for folder in folders),
            hint="name one of these",
        )
    (folder,) = folders
    try:
        told = _words(read_saved(folder))
    except ClusterupError as error:
        told = f"{folder.name}, which can't be read ({(error.got or '')[:200]})"
    _ask(f"Forget {told}?", yes, "say --yes")
    forget_saved(folder)
    _say(f"forgot {folder.name}")


def _ask(question: str, yes: bool, hint: str) -> None:
    """Return when the person wants that. Raises Refused where there is no one to ask, typer.Exit where not."""
    from bootstrap.errors import Refused

    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(
            "this removes something, and there is no terminal to ask", step="lab", got=on_one_line(question), hint=hint
        )
    if not typer.confirm(on_one_line(question)):
        _say("nothing was done")
        raise typer.Exit(1)


def _as_data(saved: Saved) -> dict[str, object]:
    return {
        "name": saved.name,
        "full_name": saved.full_name,
        "key": saved.key,
        "lab": saved.lab.name,
        "time": saved.time,
        "size": saved.size,
        "folder": str(saved.folder),
        "machines": [machine.name for machine in saved.lab.machines],
        "running": list(saved.running),
        "bundle": saved.bundle,
        "kubernetes": saved.kubernetes,
        "version": saved.version,
        "cluster": saved.health is not None,
    }


def _words(saved: Saved) -> str:
    return f"{saved.full_name} (lab {saved.lab.name}, {_when(saved)}, {_size(saved.size)})"


def _when(saved: Saved) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(saved.time))


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def _say(text: str) -> None:
    typer.echo(on_one_line(text))
