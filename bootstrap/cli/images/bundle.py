"""clusterup bundle sign, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootstrap.cli.described.lazy import KnowsOthers

bundles = typer.Typer(
    cls=KnowsOthers,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Sign bundles, and see whether one is as somebody signed it.",
)

FolderArgument = Annotated[
    Path | None, typer.Argument(metavar="FOLDER", help="A bundle. Default: the one built last.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands about bundles to `app`."""
    app.add_typer(bundles, name="bundle")


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
    from bootstrap.image.bundle import SIGNATURE, find_bundle
    from bootstrap.image.files import verify_bundle
    from bootstrap.image.signing import sign_bundle

    bundle = find_bundle(str(folder) if folder else None)
    # What is not as its manifest says is nothing to sign for.
    verify_bundle(bundle, bundle.artifacts)
    signer = sign_bundle(bundle.directory, key.expanduser())
    typer.echo(f"bundle {bundle.version} is signed with {signer}: {bundle.directory / SIGNATURE}")


@bundles.command()
def verify(
    folder: FolderArgument = None,
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
            help="Whose os.trusted_keys may have signed it; its os.bundle is verified where no FOLDER is named.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """See whether one of the named keys signed a bundle, and whether every file in it is as it was then.

    apply, join and stick look themselves where the inventory has os.trusted_keys, and so do nodes that fetch what they
    are made of.
    """
    from bootstrap.errors import BadUse
    from bootstrap.image.bundle import find_bundle
    from bootstrap.image.files import verify_bundle
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
