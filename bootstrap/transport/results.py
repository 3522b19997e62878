"""What became of a command, said the same way whatever the way in."""

from __future__ import annotations

from bootstrap.transport.base import Result
from bootstrap.transport.errors import CommandFailed, CommandTimeout, TransportError


def succeeded(result: Result, node: str, where: str) -> Result:
    """The result, if its exit status is 0. Raises CommandFailed with the last lines of its output otherwise."""
    if result.status == 0:
        return result
    raise CommandFailed(
        f"'{result.command.name}' ended with exit status {result.status}",
        node=node,
        step=result.command.name,
        tried=f"to run it on {where}",
        got=last_lines(result.stderr) or last_lines(result.stdout) or "no output",
        hint="fix what the node says there, then run again",
    )


def took_too_long(name: str, node: str, where: str, timeout: float, stderr: bytes) -> CommandTimeout:
    """A command did not end in its time (seconds)."""
    return CommandTimeout(
        f"'{name}' did not end within {timeout:.0f} s and was stopped",
        node=node,
        step=name,
        tried=f"to run it on {where}",
        got=last_lines(stderr) or "no error output",
        hint="look at the node's load and console; then try again",
    )


def cut_off(name: str, node: str, where: str, why: str) -> TransportError:
    """A command has no exit status."""
    return TransportError(
        f"'{name}' was cut off",
        node=node,
        step=name,
        tried=f"to run it on {where}",
        got=why,
        hint="see whether the node is up and reachable; then run again: what is done is not done twice",
    )


def last_lines(output: bytes) -> str:
    """The last lines of an output, as a message shows them."""
    return "\n".join(output.decode("utf-8", "replace").strip().split("\n")[-8:])[-1500:]
