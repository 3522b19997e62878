"""clusterup bundle show, diff, pack, sign, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootstrap.cli.described.lazy import KnowsOthers
from bootstrap.cli.options import Output, file_of

bundles = typer.Typer(
    cls=KnowsOthers,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Pack a bundle into one file, sign it, see whether it is as somebody signed it, compare two of them.",
)

FolderArgument = Annotated[
    Path | None, typer.Argument(metavar="FOLDER", help="A bundle. Default: the one built last.", show_default=False)
]
BundleArgument = Annotated[
    Path | None,
    typer.Argument(metavar="BUNDLE", help="A folder or a file. Default: the one built last.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands about bundles to `app`."""
    app.add_typer(bundles, name="bundle")


@bundles.command()
def show(
    bundle: BundleArgument = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
) -> None:
    """Show what a bundle holds: versions, sizes, hashes, the number of Debian packages."""
    from bootstrap.cli.images.image import show_bundle
    from bootstrap.image.finding import find_bundle

    show_bundle(find_bundle(str(bundle) if bundle else None), output)


@bundles.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A folder or a file.", show_default=False)],
    new: Annotated[
        Path | None,
        typer.Argument(metavar="NEW", help="A folder or a file. Default: the one built last.", show_default=False),
    ] = None,
    tracker: Annotated[
        Path | None,
        typer.Option(
            "--tracker",
            parser=file_of,
            metavar="FILE",
            help="What Debian's security tracker says, as fetched from "
            "https://security-tracker.debian.org/tracker/data/json: which faults are gone, and which are still there.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
) -> None:
    """Show what is other in one bundle than in another: releases, Debian packages, faults of security that are fixed.

    Nothing is fetched: what is known of faults is what the file of --tracker says.
    """
    import json
    import sys

    from bootstrap.image.contents.difference import difference
    from bootstrap.image.contents.tracker import read_tracker
    from bootstrap.image.finding import find_bundle
    from bootstrap.ui.bundles import difference_lines

    known = read_tracker(tracker) if tracker else None
    found = difference(find_bundle(str(old)), find_bundle(str(new) if new else None), known)
    if output is Output.JSON:
        sys.stdout.write(json.dumps(found.as_data(), indent=1) + "\n")
    else:
        typer.echo("\n".join(difference_lines(found)))


@bundles.command()
def pack(
    out: Annotated[
        Path, typer.Option("--out", parser=file_of, metavar="FILE", help="The file to write.", show_default=False)
    ],
    folder: FolderArgument = None,
    executable: Annotated[
        list[Path] | None,
        typer.Option(
            "--executable",
            parser=file_of,
            metavar="FILE",
            help="An executable of clusterup to go with it. Repeatable. Default: the one that runs, unless the bundle "
            "has one, or is signed and would not be any more.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Sign it, with an Ed25519 key of SSH as in `bundle sign`."),
    ] = None,
    lab: Annotated[
        bool,
        typer.Option("--lab", help="QEMU and what else a lab runs go with it: lab up --bundle fetches nothing then."),
    ] = False,
) -> None:
    """Make one file of a bundle, to be carried where there is no network.

    It holds all that an installation needs: disk images, payloads, container images, kubectl, and clusterup itself.
    `clusterup apply --bundle FILE` takes out of it what it sends, and unpacks nothing. A copy that was cut off can be
    gone on with, as of any file; one that is cut off is refused.
    """
    from bootstrap.host.build_info import executable as running
    from bootstrap.image.finding import find_bundle
    from bootstrap.image.packing import EXECUTABLE, goes_along, pack_bundle, require_room_for

    own = running()
    bundle = find_bundle(str(folder) if folder else None)
    along = [own] if own is not None and not executable and goes_along(bundle, own, key) else []
    more = []
    if lab:
        from bootstrap.lab.carried import ARTIFACT, tools_artifact

        # Before anything is fetched for it.
        require_room_for(bundle, key, [ARTIFACT])
        more.append(tools_artifact(_log))
    signer = pack_bundle(bundle, executable or along, key.expanduser() if key else None, out, more)
    typer.echo(f"wrote {out}, {out.stat().st_size / 1e6:.0f} MB{f', signed with {signer}' if signer else ''}")
    if not (executable or along or any(name.endswith(EXECUTABLE) for name in bundle.artifacts)):
        typer.echo("note: clusterup itself is not in it: --executable FILE", err=True)


def _log(line: str) -> None:
    from bootstrap.image.trees import TOOL_SAYS

    if not line.startswith(TOOL_SAYS):
        typer.echo(line, err=True)


@bundles.command()
def sign(
    key: Annotated[
        Path,
        typer.Option(
            "--key",
            metavar="FILE",
            help="An Ed25519 key of SSH: a private one, or a .pub file whose private half your agent has.",
        ),
    ],
    folder: FolderArgument = None,
) -> None:
    """Sign a bundle with your key, so that nodes are made of nothing else.

    The signature is over the manifest, which names every file with its SHA-256, and lies beside it
    (manifest.json.sig). Its public half goes into os.trusted_keys of inventories.
    """
    from bootstrap.errors import BadUse
    from bootstrap.image.bundle import SIGNATURE
    from bootstrap.image.files import verify_bundle
    from bootstrap.image.finding import find_bundle
    from bootstrap.image.signing import sign_bundle

    bundle = find_bundle(str(folder) if folder else None)
    if bundle.directory.is_file():
        raise BadUse(
            "a bundle that is one file is signed when it is packed",
            step="bundle",
            got=str(bundle.directory),
            hint="clusterup bundle pack --key FILE",
        )
    # What is not as its manifest says is nothing to sign for.
    verify_bundle(bundle, bundle.artifacts)
    signer = sign_bundle(bundle.directory, key.expanduser())
    typer.echo(f"bundle {bundle.version} is signed with {signer}: {bundle.directory / SIGNATURE}")


@bundles.command()
def verify(
    folder: BundleArgument = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="KEY",
            help="A key that may have signed it: a .pub file, or the line that stands in one. Repeatable.",
            show_default=False,
        ),
    ] = None,
    inventory: Annotated[
        Path | None,
        typer.Option(
            "--inventory",
            "-i",
            metavar="INVENTORY",
            help="Whose os.trusted_keys may have signed it; its os.bundle is verified where no BUNDLE is named.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """See whether one of the named keys signed a bundle, and whether every file in it is as it was then.

    apply, join and stick look themselves where the inventory has os.trusted_keys, and so do nodes that fetch what they
    are made of.
    """
    from bootstrap.errors import BadUse
    from bootstrap.image.files import verify_bundle
    from bootstrap.image.finding import find_bundle
    from bootstrap.image.signing import check_signed, public_keys_in
    from bootstrap.inventory.load import load_inventory

    said = load_inventory(inventory).os if inventory else None
    trusted = [line for place in key or () for line in public_keys_in(place)] + list(said.trusted_keys if said else ())
    if not trusted:
        raise BadUse(
            "no key is named that may have signed the bundle",
            step="bundle",
            got="neither --key nor an inventory with os.trusted_keys",
            hint="--key FILE.pub names one, -i INVENTORY takes those of an inventory",
        )
    bundle = find_bundle(str(folder) if folder else said.bundle if said else None)
    signer = check_signed(bundle, trusted, list(bundle.artifacts))
    verify_bundle(bundle, bundle.artifacts)
    typer.echo(f"bundle {bundle.version} in {bundle.directory} is signed with {signer}, and whole")
