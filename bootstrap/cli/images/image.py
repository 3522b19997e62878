"""clusterup image build, show, path, releases."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.described.lazy import KnowsOthers
from bootstrap.cli.options import Output

if TYPE_CHECKING:
    from bootstrap.image.bundle import Bundle
    from bootstrap.image.sources import Source


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]

images = typer.Typer(
    cls=KnowsOthers,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make the micro OS, the payload and the bundle.",
)


def register(app: typer.Typer) -> None:
    """Add the commands about images to `app`."""
    app.add_typer(images, name="image")


@images.command()
def build(
    inventory: Annotated[
        Path | None,
        typer.Argument(
            metavar="INVENTORY",
            help="Make the bundle that it needs: its kubernetes.source and kubernetes.version, for its nodes' "
            "architectures.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="SOURCE",
            help="Kubernetes from: upstream, debian, a folder with its binaries, or auto (the default): upstream where "
            "that is reached.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        list[str] | None,
        typer.Option(
            "--version",
            metavar="RELEASE",
            help="The release, as in 1.36.2. Repeatable: the bundle has all of them, and the first is the one that "
            "nodes get where the inventory says nothing.",
            show_default=False,
        ),
    ] = None,
    arch: Annotated[
        list[str] | None,
        typer.Option(
            "--arch",
            metavar="ARCH",
            help="For machines of that architecture: amd64 or arm64. Repeatable: for all of them. Default: the "
            "inventory's, else amd64.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show all that the tools say.")] = False,
) -> None:
    """Make everything an installation needs: micro OS, live environment, payload, container images, manifest.

    What was built before is taken from the cache: with nothing changed this takes seconds. The bundle becomes the one
    that `apply` and `lab up` use where no other is named.
    """
    from bootstrap.image.architecture import architecture_named
    from bootstrap.image.build import build_bundle
    from bootstrap.image.sources import UNSUPPORTED
    from bootstrap.image.trees import TOOL_SAYS
    from bootstrap.releases import DEBIAN_KUBERNETES
    from bootstrap.spec.fitting import check_fits

    began = time.monotonic()

    def log(line: str) -> None:
        if verbose or not line.startswith(TOOL_SAYS):
            typer.echo(f"[{time.monotonic() - began:6.1f}s] {line}", err=True)

    architectures = dict.fromkeys(architecture_named(name) for name in arch or _architectures_of(inventory))
    bundle = build_bundle(_source(inventory, source, tuple(version or ())), list(architectures), log, check_fits)
    show_bundle(bundle, output)
    if bundle.kubernetes_version == DEBIAN_KUBERNETES:
        typer.echo(f"note: {UNSUPPORTED}", err=True)
    if output is Output.TEXT:
        typer.echo(f"in {time.monotonic() - began:.1f} s")


def _architectures_of(inventory: Path | None) -> list[str]:
    """Those of an inventory's nodes, amd64 first, which is what nodes have that say nothing."""
    from bootstrap.image.architecture import AMD64
    from bootstrap.inventory.load import load_inventory

    if inventory is None:
        return [AMD64.name]
    return sorted({node.architecture or AMD64.name for node in load_inventory(inventory).nodes})


def _source(inventory: Path | None, source: str | None, versions: tuple[str, ...]) -> Source:
    """What is asked for, in an inventory and on the command line. Raises BadUse where the two say different things."""
    from bootstrap.errors import BadUse
    from bootstrap.image.sources import AUTO, Source
    from bootstrap.inventory.load import load_inventory

    if inventory is None:
        return Source(AUTO if source is None else source, versions)
    said = load_inventory(inventory).kubernetes
    if source is not None and source != said.source and "source" in said.model_fields_set:
        raise BadUse(
            "the inventory and --source say different things",
            step="image build",
            got=f"kubernetes.source: {said.source} in {inventory}, --source {source}",
            hint="leave one of them out",
        )
    first = () if said.version is None else (said.version,)
    return Source(said.source if source is None else source, tuple(dict.fromkeys((*first, *versions))))


@images.command()
def show(
    folder: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="A folder or a file. Default: the one built last.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what a bundle holds: versions, sizes, hashes, the number of Debian packages."""
    from bootstrap.image.finding import find_bundle

    show_bundle(find_bundle(str(folder) if folder else None), output)


@images.command()
def path(
    artifact: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name, as in os, payload, image/pause, tool/kubectl.")
    ],
) -> None:
    """Print where the file of an artifact of the current bundle is."""
    from bootstrap.image.finding import find_bundle

    typer.echo(str(find_bundle(None).artifact(artifact).file))


@images.command()
def releases(output: OutputOption = Output.TEXT) -> None:
    """List the versions of Kubernetes that nodes can be made of, and what belongs to each.

    `kubernetes.version` in an inventory, or --version of `image build`, names one of them, or a release of it.
    """
    from bootstrap.image.sources import supported_minors
    from bootstrap.image.upstream.table import read_table

    table = read_table()
    rows = {minor: dict(table.components.get(minor, {})) for minor in supported_minors()}
    if output is Output.JSON:
        listed = [
            {"kubernetes": minor, "newest": minor == table.newest, "components": row} for minor, row in rows.items()
        ]
        sys.stdout.write(json.dumps(listed, indent=1) + "\n")
        return
    for minor, row in rows.items():
        parts = ", ".join(f"{name} {release}" for name, release in sorted(row.items()))
        said = parts or "Debian's own, with its components: for trying out"
        typer.echo(f"{minor}: {said}{' (where nothing is said)' if minor == table.newest else ''}")


def show_bundle(bundle: Bundle, output: Output) -> None:
    """What it holds, as its manifest says."""
    from bootstrap.image.manifest import manifest_of

    if output is Output.JSON:
        sys.stdout.write(json.dumps(manifest_of(replace(bundle, signed=None)), indent=1) + "\n")
        return
    typer.echo(f"bundle {bundle.version} in {bundle.directory}")
    for name, artifact in sorted(bundle.artifacts.items()):
        unpacked = f" ({artifact.raw_size / 1e6:.1f} MB unpacked)" if artifact.raw_size else ""
        typer.echo(f"  {name:<14} {artifact.size / 1e6:8.1f} MB  sha256 {artifact.sha256[:16]}...{unpacked}")
        if artifact.components:
            typer.echo("      " + ", ".join(f"{key} {value}" for key, value in sorted(artifact.components.items())))
        if artifact.reference:
            typer.echo(f"      {artifact.reference}")
