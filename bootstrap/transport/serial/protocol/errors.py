"""What is said when a console does not do what it should: which line, what was tried, what was seen on it."""

from __future__ import annotations

from bootstrap.transport.errors import LineLost, TransportError

SHOWN = 300
"""Bytes of what was last seen that a message shows."""
_NAMES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 13: "\\r", 27: "\\e"}


def visible(data: bytes) -> str:
    """The last bytes of a line with what can't be seen written as in C."""
    shown = "".join(
        chr(byte) if 32 <= byte < 127 and byte != 92 else _NAMES.get(byte, f"\\x{byte:02x}") for byte in data[-SHOWN:]
    )
    return f"...{shown}" if len(data) > SHOWN else shown


def seen_on(data: bytes) -> str:
    """What was seen on the line, as a message says it."""
    return f"last on the line: {visible(data)}" if data.strip(b"\0") else "nothing was seen on the line"


def silent(node: str, described: str, tried: str, seen: bytes) -> TransportError:
    """Nothing, or nothing that we understand, came for as long as we are ready to wait."""
    if seen.strip(b"\0\r\n\t "):
        problem = "what its console says is not an answer to us"
        hint = (
            "see what is on the console (clusterup console), and whether the line's speed is the node's; then run again"
        )
    else:
        problem = "its console says nothing"
        hint = "see whether the node is on, the cable in the right port, and the speed the node's; then run again"
    return TransportError(
        problem, node=node, step="console", tried=f"{tried}, {described}", got=seen_on(seen), hint=hint
    )


def given_up(node: str, described: str, error: Exception, seen: bytes) -> TransportError:
    """The line was lost, and did not come back."""
    if isinstance(error, TransportError) and not isinstance(error, LineLost):
        return error
    return TransportError(
        "the line to its console was lost and did not come back",
        node=node,
        step="console",
        tried=f"to open {described} again",
        got=f"{getattr(error, 'got', None) or getattr(error, 'problem', None) or error}; {seen_on(seen)}",
        hint="put the cable back, or fix what carries the line; then run again: what is done is not done twice",
    )


def too_little(node: str, described: str, missing: str) -> TransportError:
    """The node's shell lacks what the far side can't do without."""
    return TransportError(
        f"the system on it has not what it takes to be reached over a console: {missing}",
        node=node,
        step="console",
        tried=f"to start the far side, {described}",
        got="none of them was found in its PATH",
        hint="start the node from the live environment of clusterup, or from a system that has them",
    )
