"""What a token that was typed leads to: the cluster that it belongs to, and what it opens there."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.adopt.fetch import HandedOver
from bootstrap.joining.discovery import Discovered, discover
from bootstrap.joining.server import opened_with, used_here
from bootstrap.joining.server_bundle import joins_by_itself, made_for
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.token import Token


@dataclass(frozen=True)
class TokenUse:
    """The cluster, and what the token opens: what a server joins with, or None where it is a token for agents."""

    cluster: Discovered
    opened: HandedOver | None


def use_of(token: Token, server: ServerUrl, pins: frozenset[str]) -> TokenUse:
    """What the token leads to, asked at `server`. Raises Refused for one that was used here before or that a server
    joins with by itself, and what `discover` does."""
    if (used := used_here(token.id)) is not None:
        raise used
    cluster = discover(server, token, pins)
    opened = opened_with(cluster, token)
    if opened is None and (server_of_it := made_for(cluster, token)) is not None:
        raise joins_by_itself(server_of_it)
    return TokenUse(cluster, opened)
