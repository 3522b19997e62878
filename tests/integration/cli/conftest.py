"""Machines for the command line: real sshds on this one, and a small bundle."""

from __future__ import annotations

from tests.integration.transport.conftest import sshd, start_sshd

__all__ = ["sshd", "start_sshd"]
