"""What a machine may be made of, where it trusts signed bundles alone."""

from __future__ import annotations

from bootstrap.constants.paths import TRUSTED_KEYS
from bootstrap.node.joining.description import Agent
from bootstrap.node.machine import Machine
from bootstrap.protocol.failure import Failure, Kind
from bootstrap.protocol.signed_bundle import require_signed


def require_trusted(agent: Agent, machine: Machine) -> None:
    """Raise Failure where this machine trusts some keys, and none of them signed what it would fetch. The keys came
    with its own installation; the cluster can't change them."""
    place = machine.place(TRUSTED_KEYS)
    if place.exists():
        signer = require_signed(agent.signed, place.read_text().splitlines(), agent.digests)
        _require_kinds(agent)
        machine.say(f"what it is made of is signed with {signer}, which this machine trusts")


def _require_kinds(agent: Agent) -> None:
    """Raise Failure where something signed would be used as something else."""
    signed = agent.signed.digests if agent.signed else {}
    kinds = {agent.payload: "payload", **dict.fromkeys(agent.images, "image")}
    others = [artifact.path for artifact, kind in kinds.items() if kind not in signed[artifact.sha256].split("/")]
    if others:
        raise Failure(
            "what would be used was signed as something else",
            kind=Kind.REFUSED,
            tried="compare it with the signed manifest",
            got=", ".join(others),
            hint="`clusterup apply` of the cluster's operator puts right what the cluster says of its nodes",
        )
