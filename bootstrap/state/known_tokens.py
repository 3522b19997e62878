"""The tokens that were made from this machine, by their ids, which are no secret: for whoever completes a command.

What counts is the cluster's own list (`clusterup token list`); this one may lack tokens and have some that are gone.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bootstrap.locks import waiting_lock
from bootstrap.pki.store import read_if_there
from bootstrap.written import write_private

FILE = "tokens.json"


def note_token(folder: Path, token_id: str, *, role: str, expires: datetime) -> None:
    """Note a token of the cluster whose state is in that folder; those that ended are forgotten. Raises OSError."""
    with waiting_lock(folder / f".{FILE}.lock"):
        now = datetime.now(UTC).timestamp()
        kept = {known: each for known, each in _noted(folder).items() if each["expires"] > now}
        _write(folder, {**kept, token_id: {"role": role, "expires": int(expires.timestamp())}})


def forget_tokens(folder: Path, token_ids: Collection[str]) -> None:
    """Forget tokens that were taken back. Raises OSError."""
    if set(token_ids).isdisjoint(_noted(folder)):
        return
    with waiting_lock(folder / f".{FILE}.lock"):
        _write(folder, {known: each for known, each in _noted(folder).items() if known not in token_ids})


def _write(folder: Path, noted: dict[str, Any]) -> None:
    write_private(folder / FILE, json.dumps(noted, indent=1, sort_keys=True).encode() + b"\n")


def _noted(folder: Path) -> dict[str, Any]:
    """What is noted; what is damaged is nothing."""
    try:
        found = json.loads(read_if_there(folder / FILE) or b"{}")
        return {str(key): each for key, each in found.items() if isinstance(each["expires"], int)}
    except (ValueError, AttributeError, LookupError, TypeError, RecursionError):
        return {}
