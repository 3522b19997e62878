"""The cluster that a token and a pin lead to, asked from the operator's machine: see `bootstrap.protocol.discovery`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.failures import in_own_words
from bootstrap.protocol import discovery
from bootstrap.protocol.discovery import ANSWER_SECONDS, SIGNED_SECONDS, ServerUrl
from bootstrap.protocol.token import Token

STEP = "discovery"


@dataclass(frozen=True, slots=True)
class Discovered:
    """A cluster that is the one that was meant: where it was asked, and its pinned authorities (PEM)."""

    server: ServerUrl
    ca_pem: bytes


def server_url(text: str) -> ServerUrl:
    """The server in "https://HOST:PORT", "HOST:PORT" or "HOST". Raises BadUse for anything else."""
    with in_own_words(STEP):
        return discovery.server_url(text)


def pins_of(given: Sequence[str]) -> frozenset[str]:
    """The pins that were given. Raises BadUse where there is none, or where one is not a pin."""
    with in_own_words(STEP):
        return discovery.pins_of(given)


def discover(
    server: ServerUrl,
    token: Token,
    pins: frozenset[str],
    *,
    clock: Callable[[], float] = time.time,
    patience: float = SIGNED_SECONDS,
    seconds: float = ANSWER_SECONDS,
) -> Discovered:
    """The cluster behind `server`, which is the one that was meant; arguments are as for the protocol's `discover`.
    Raises Refused or ClusterupError that says what is not so."""
    with in_own_words(STEP):
        authority = discovery.discover(
            server, token, pins, reads=_kubeconfig, clock=clock, patience=patience, seconds=seconds
        )
    return Discovered(server, authority)


def _kubeconfig(told: str) -> Any:
    """What the YAML of somebody whom no one vouches for says, read within the bounds of an inventory: it may be nested
    without end, or be more than all memory once its aliases are followed. Raises ValueError."""
    from bootstrap.inventory.written_file.positions import read_document

    document = read_document(Path("kubeconfig"), told)
    if document.problems:
        raise ValueError(str(document.problems[0]))
    return document.data
