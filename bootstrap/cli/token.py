"""clusterup token create, list, revoke."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bootstrap.cli.described.lazy import KnowsOthers
from bootstrap.cli.options import DEFAULT_INVENTORY, InventoryFile, Output, file_of

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]


class JoinsAs(StrEnum):
    """What a token lets in."""

    AGENT = "agent"
    SERVER = "server"


def register(app: typer.Typer) -> None:
    """Add the token commands to `app`."""
    group = typer.Typer(
        cls=KnowsOthers, no_args_is_help=True, help="Tokens that nodes join with.", rich_markup_mode=None
    )
    group.command()(create)
    group.command("list")(list_tokens)
    group.command()(revoke)
    app.add_typer(group, name="token")


def create(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    ttl: Annotated[
        str | None,
        typer.Option("--ttl", metavar="TIME", help="How long it is good: 30m, 2h, 2d. Default: 1h; a server's 15m."),
    ] = None,
    role: Annotated[JoinsAs, typer.Option("--role", help="What joins with it.")] = JoinsAs.AGENT,
    uses: Annotated[
        str | None,
        typer.Option("--uses", metavar="N", help="How many nodes may join with it; unlimited: any number. Default: 1."),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NAME", help="The only node that may join with it. Default: any new one."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a token and print the commands that join a node with it: clusterup's own, and plain kubeadm's.

    The token is a bootstrap token as kubeadm makes them. Whoever has it can make a node of the cluster until it ends
    or is revoked. The pin in the commands (sha256:...) is the cluster's authority: a node that joins believes no other.

    The servers look at each node that asks for its certificate with a token. A token is good for one node, or for as
    many as --uses says. It is for new names: the name of a Node that is there, Ready or not, is given only to a token
    that was made for it (--node NAME), as for a machine that was installed again; a server's name to no agent's token.
    What was refused is not counted, and the reason stands in the request: `kubectl describe csr`.

    With --uses unlimited, whoever gets hold of the token makes nodes under any new names until it ends, and reads the
    Secrets of the pods that are scheduled to them: give it a short --ttl, and revoke it afterwards.

    A server's token (--role server) opens the cluster's keys, as every server has them: it is good for one join, and
    for an hour at most. With it alone a server is joined from another machine (`clusterup join`), which becomes an
    operator's by that. With --node, a server of the inventory joins by itself: by the command that is printed, typed on
    it, or from a stick (`clusterup stick`). The next `clusterup apply` tells the other nodes of it.

    What stands on a command line is seen by every user of that machine. `clusterup join` also takes the token from a
    file (--token-file), from standard input (--token -) and from the environment variable CLUSTERUP_TOKEN;
    `-o json` prints what such a script needs.
    """
    from bootstrap.cli.front import person, say
    from bootstrap.operations.clients import reachable_client
    from bootstrap.operations.create_token import create_token, wait_until_signed, wish_of
    from bootstrap.operations.reading import intent_of_made
    from bootstrap.state.known_tokens import note_token
    from bootstrap.times import in_words

    wish = wish_of(ttl=ttl, role=role.value, uses=uses, node=node)
    intent = intent_of_made(inventory)
    with reachable_client(intent, person(), say) as api:
        made = create_token(api, wish, intent)
        with suppress(OSError):
            # For completion alone.
            note_token(intent.state.folder, made.token.id, role=role.value, expires=made.expires)
        wait_until_signed(api, made.token, lambda text: typer.echo(text, err=True))
    if output is Output.JSON:
        sys.stdout.write(json.dumps(made.as_data(), indent=1) + "\n")
        return
    for command in made.join_commands():
        typer.echo(command)
    if made.live:
        typer.echo(f"{node} is a Ready node now: a machine that joins with this token takes its name from it", err=True)
    typer.echo(
        f"good for {made.good_for}, for {in_words(wish.lifetime)}, until {made.expires:%Y-%m-%d %H:%M:%S} UTC; "
        f"to end it before: clusterup token revoke {made.token.id}",
        err=True,
    )


def list_tokens(inventory: InventoryFile = DEFAULT_INVENTORY, output: OutputOption = Output.TEXT) -> None:
    """Show every token that the cluster has, kubeadm's as well, and never a secret.

    The role is what it lets in: an agent, a server, `apply` for one that an apply made for a single join and takes back
    when the node is Ready, `other` for one that somebody made for something else.
    """
    from datetime import UTC, datetime

    from bootstrap.cli.front import person, say
    from bootstrap.operations.clients import reachable_client
    from bootstrap.operations.reading import intent_of_made
    from bootstrap.tokens.listing import known_tokens

    with reachable_client(intent_of_made(inventory), person(), say) as api:
        found = known_tokens(api)
    now = datetime.now(UTC)
    if output is Output.JSON:
        sys.stdout.write(json.dumps([token.as_data(now) for token in found], indent=1) + "\n")
    elif found:
        from bootstrap.ui.tokens import token_lines

        for line in token_lines(found, now):
            typer.echo(line)
    else:
        typer.echo("there are no tokens; make one with `clusterup token create`", err=True)


def revoke(
    tokens: Annotated[list[str], typer.Argument(metavar="ID...", help="The first six letters; see `token list`.")],
    inventory: Annotated[
        Path, typer.Option("--inventory", parser=file_of, metavar="FILE", help="The inventory.")
    ] = DEFAULT_INVENTORY,
) -> None:
    """Take tokens back: no one joins with them any more. Nodes that have joined stay.

    An API server remembers for ten seconds whom it has let in. An id is not secret; a whole token works as well. Exit
    code 1 when there was no such token.
    """
    from bootstrap.cli.front import person, say
    from bootstrap.errors import ClusterupError
    from bootstrap.operations.clients import reachable_client
    from bootstrap.operations.create_token import id_of, revoke_token
    from bootstrap.operations.reading import intent_of_made
    from bootstrap.state.known_tokens import forget_tokens

    ids = list(dict.fromkeys(id_of(text) for text in tokens))
    intent = intent_of_made(inventory)
    with reachable_client(intent, person(), say) as api:
        gone = {token_id: revoke_token(api, token_id) for token_id in ids}
    with suppress(OSError):
        forget_tokens(intent.state.folder, ids)
    for token_id in (token_id for token_id, revoked in gone.items() if revoked):
        typer.echo(f"revoked {token_id}")
    unknown = [token_id for token_id, revoked in gone.items() if not revoked]
    if unknown:
        raise ClusterupError(
            f"there is no token {', '.join(unknown)}",
            step="token",
            tried=f"revoke {', '.join(ids)}",
            got="it may have ended, or was revoked before",
            hint="`clusterup token list` shows those that there are",
        )
