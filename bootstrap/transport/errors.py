"""Failures of the way into a node."""

from __future__ import annotations

from bootstrap.errors import ClusterupError, Refused


class TransportError(ClusterupError):
    """The node can't be reached, or the way in was lost."""


class AuthenticationFailed(TransportError):
    """The node answered and refused every key and password."""


class HostKeyMismatch(Refused):
    """The node shows another host key than the pinned one."""


class CommandTimeout(TransportError):
    """A command did not end within its time."""


class CommandFailed(ClusterupError):
    """A command ended with an exit status other than 0."""


class TransferDamaged(TransportError):
    """What arrived is not what was sent."""


class LineLost(TransportError):
    """The line to a console is gone: a cable was pulled, a console server closed the connection."""
