"""What a machine may be made of, where it trusts signed bundles alone."""

from __future__ import annotations

from bootstrap.constants.paths import TRUSTED_KEYS
from bootstrap.node.joining.description import Agent
from bootstrap.node.machine import Machine
from bootstrap.protocol.signed_bundle import require_signed


def require_trusted(agent: Agent, machine: Machine) -> None:
    """Raise Failure where this machine trusts some keys, and none of them signed what it would fetch. The keys came
    with its own installation; the cluster can't change them."""
    place = machine.place(TRUSTED_KEYS)
    if place.exists():
        signer = require_signed(agent.signed, place.read_text().splitlines(), agent.digests)
        machine.say(f"what it is made of is signed with {signer}, which this machine trusts")
