"""Becoming root on a node whose SSH user isn't (sudo(8))."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from bootstrap.transport.base import Result
from bootstrap.transport.errors import TransportError
from bootstrap.transport.target import Hop

# -k: sudo asks each time instead of remembering, so that the password line is always read by sudo and never by
# the command behind it. -p '': no prompt among the command's error output.
WITHOUT_PASSWORD = "sudo -k -n "  # noqa: S105
WITH_PASSWORD = "sudo -k -S -p '' "  # noqa: S105

# What a login shell says of itself comes before it (a .bashrc that greets, a message of the day).
SAYS = "clusterup says: "
WHO = f"""\
if [ "$(id -u)" = 0 ]; then echo "{SAYS}root"
elif ! command -v sudo >/dev/null 2>&1; then echo "{SAYS}absent"
elif said=$({WITHOUT_PASSWORD} true 2>&1); then echo "{SAYS}free"
else echo "{SAYS}asks"; printf '%s\\n' "$said"; fi
"""
"""Says root, free (sudo without a password), absent, or asks and what sudo says."""
SHOWN = 500


@dataclass(frozen=True, slots=True)
class Root:
    """How commands become root: what stands before them, and what their standard input starts with."""

    prefix: str
    first_input: bytes = field(repr=False)


def find_root(hop: Hop, run: Callable[[str, str, bytes], Result]) -> Root:
    """Find out whether the user is root, may use sudo freely, or with the password of `hop`.

    `run` takes a prefix, a script and its standard input. Raises TransportError when there is no way to root.
    """
    answer = run("", WHO, b"")
    said = answer.stdout.decode("utf-8", "replace")
    if SAYS not in said:
        raise _no_command(hop, said, answer.stderr.decode("utf-8", "replace"))
    way, sudos = way_said(said)
    if way == "root":
        return Root("", b"")
    if way == "free":
        return Root(WITHOUT_PASSWORD, b"")
    if way != "asks":
        raise _no_root(
            hop,
            f"{hop.user} is not root and there is no sudo on the node",
            got="no sudo on its PATH",
            hint="log in as root (ssh.user), or install sudo on the node",
        )
    if hop.password is None:
        raise _no_root(
            hop,
            f"sudo does not let {hop.user} become root without a password, and none is configured",
            got=sudos or "sudo failed, and said nothing",
            hint=_what_helps(hop, sudos),
        )
    secret = hop.password().encode() + b"\n"
    outcome = run(WITH_PASSWORD, "true", secret)
    if outcome.status != 0:
        said = outcome.stderr.decode("utf-8", "replace").strip()[-SHOWN:]
        raise _no_root(
            hop,
            f"sudo does not accept {hop.user}'s password, or does not let {hop.user} become root",
            got=said or sudos or "sudo failed, and said nothing",
            hint="correct the password (ssh.password_from), or sudoers on the node"
            if "tty" not in said
            else _what_helps(hop, said),
        )
    return Root(WITH_PASSWORD, secret)


def way_said(text: str) -> tuple[str, str]:
    """What `WHO` says, and what sudo says where it asks; "" where it says nothing."""
    way, _, sudos = text.partition(SAYS)[2].strip().replace("\n", " ", 1).partition(" ")
    return way, sudos.strip()[-SHOWN:]


def _what_helps(hop: Hop, said: str) -> str:
    if "tty" in said:
        return f"take requiretty away from {hop.user} on the node (Defaults:{hop.user} !requiretty, with visudo)"
    return f"say where it is (ssh.password_from), or let {hop.user} use sudo without one (NOPASSWD)"


class NoCommand(TransportError):
    """One is let in, and none of our commands runs."""


def _no_command(hop: Hop, stdout: str, stderr: str) -> NoCommand:
    """The login shell, or a command that the server has in its place, ran nothing of ours."""
    said = "\n".join(part for part in (stdout.strip(), stderr.strip()) if part)[:SHOWN]
    other = re.search(r'as the user "([\w.-]+)"', said)
    if other is not None:
        hint = f"log in as {other[1]} (ssh.user: {other[1]}); it becomes root with sudo"
    elif "assword" in said:
        hint = f"its password has to be changed: log in once with ssh as {hop.user}, or name another user (ssh.user)"
    else:
        hint = f"give {hop.user} a login shell that runs commands (chsh -s /bin/sh), or name another user (ssh.user)"
    return NoCommand(
        f"{hop.user} may log in, but no command runs",
        node=hop.node,
        step="connect",
        tried=f"a command as {hop.address}",
        got=said or "nothing",
        hint=hint,
    )


def _no_root(hop: Hop, problem: str, *, got: str, hint: str) -> TransportError:
    return TransportError(
        problem, node=hop.node, step="connect", tried=f"to become root as {hop.address}", got=got, hint=hint
    )
