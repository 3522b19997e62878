"""Becoming root on a node whose SSH user isn't (sudo(8))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bootstrap.transport.base import Result
from bootstrap.transport.errors import TransportError
from bootstrap.transport.target import Hop

# -k: sudo asks each time instead of remembering, so that the password line is always read by sudo and never by
# the command behind it. -p '': no prompt among the command's error output.
WITHOUT_PASSWORD = "sudo -k -n "  # noqa: S105
WITH_PASSWORD = "sudo -k -S -p '' "  # noqa: S105

WHO = f"""\
if [ "$(id -u)" = 0 ]; then echo root
elif ! command -v sudo >/dev/null 2>&1; then echo absent
elif {WITHOUT_PASSWORD} true 2>/dev/null; then echo free
else echo asks; fi
"""
"""Says root, free (sudo without a password), asks or absent."""


@dataclass(frozen=True, slots=True)
class Root:
    """How commands become root: what stands before them, and what their standard input starts with."""

    prefix: str
    first_input: bytes = field(repr=False)


def find_root(hop: Hop, run: Callable[[str, str, bytes], Result]) -> Root:
    """Find out whether the user is root, may use sudo freely, or with the password of `hop`.

    `run` takes a prefix, a script and its standard input. Raises TransportError when there is no way to root.
    """
    way = run("", WHO, b"").stdout.decode("ascii", "replace").strip()
    if way == "root":
        return Root("", b"")
    if way == "free":
        return Root(WITHOUT_PASSWORD, b"")
    if way != "asks":
        raise _no_root(
            hop,
            f"{hop.user} is not root and there is no sudo on the node",
            got=way or "no answer",
            hint="log in as root (ssh.user), or install sudo on the node",
        )
    if hop.password is None:
        raise _no_root(
            hop,
            f"sudo asks {hop.user} for a password and none is configured",
            got="sudo: a password is required",
            hint=f"say where it is (ssh.password_from), or let {hop.user} use sudo without one (NOPASSWD)",
        )
    secret = hop.password().encode() + b"\n"
    outcome = run(WITH_PASSWORD, "true", secret)
    if outcome.status != 0:
        raise _no_root(
            hop,
            f"sudo does not accept {hop.user}'s password, or does not let {hop.user} become root",
            got=outcome.stderr.decode("utf-8", "replace").strip()[-500:],
            hint="correct the password (ssh.password_from), or sudoers on the node",
        )
    return Root(WITH_PASSWORD, secret)


def _no_root(hop: Hop, problem: str, *, got: str, hint: str) -> TransportError:
    return TransportError(
        problem, node=hop.node, step="connect", tried=f"to become root as {hop.address}", got=got, hint=hint
    )
