"""Two clocks that are compared: this machine's and a server's, with the server's certificate as the witness."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from bootstrap.protocol.certificate import validity_of
from bootstrap.protocol.failure import Failure, Kind

# The control plane dates a kubelet's certificate back by that much: a node that is further behind takes it for one of
# the future. Source: https://github.com/kubernetes/kubernetes/blob/v1.20.2/pkg/controller/certificates/signer/ca_provider.go
APART = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Clocks:
    """What this machine's clock says, what the server's does, and the certificate (DER) that the server shows."""

    here: datetime
    there: datetime
    certificate: bytes = field(repr=False)


def date_of(header: str | None) -> datetime | None:
    """The time in an HTTP Date header; None where there is none, or no time in it."""
    try:
        found = parsedate_to_datetime(header or "")
    except (ValueError, TypeError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def check_clocks(server: str, clocks: Clocks) -> None:
    """Raise Failure where the clocks are too far apart for the certificates that they judge: by how much, and which of
    the two is wrong, as far as the server's certificate tells. Raises ValueError for a certificate that can't be
    read."""
    if abs(clocks.there - clocks.here) <= APART:
        return
    begins, ends = validity_of(clocks.certificate)
    here, there = (begins <= clock <= ends for clock in (clocks.here, clocks.there))
    ahead = "ahead of" if clocks.there > clocks.here else "behind"
    if here == there:
        wrong, hint = "", "compare both with a clock that is right, and set the one that is wrong"
    else:
        wrong = (
            "; by the server's certificate it is " + ("the server's" if here else "this machine's") + " that is wrong"
        )
        hint = "set the server's clock" if here else "set this machine's clock"
    raise Failure(
        f"the server's clock is {_long(abs(clocks.there - clocks.here))} {ahead} this machine's{wrong}",
        kind=Kind.REFUSED,
        tried=f"compare this machine's clock with that of {server}",
        got=f"there {_shown(clocks.there)}, here {_shown(clocks.here)}; the server's certificate is valid from "
        f"{_shown(begins)} to {_shown(ends)}",
        hint=f"{hint}: no certificate would be valid when it should be",
        # Time comes over the network, a while after a machine has started.
        passing=True,
    )


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _long(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    hours, rest = divmod(minutes, 60)
    days, left = divmod(hours, 24)
    if days:
        return f"{days} d {left} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"
