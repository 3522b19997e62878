"""iproute2 and iptables, as the node's agent calls them."""

from __future__ import annotations

import json
import subprocess
from typing import Any

SECONDS = 30


def ip(*arguments: str) -> list[dict[str, Any]]:
    """What `ip -json` says; it says nothing at all where there is nothing to say. Raises what subprocess raises."""
    return _listed("ip", "-json", *arguments)


def bridge(*arguments: str) -> list[dict[str, Any]]:
    """What `bridge -json` says. Raises what subprocess raises."""
    return _listed("bridge", "-json", *arguments)


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program. Raises CalledProcessError, TimeoutExpired, OSError."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=SECONDS)


def append_rule(table: str, chain: str, *rule: str) -> None:
    """A rule of iptables(8) at the end of a chain, where it is not there yet. Raises as `run`."""
    place = ("iptables", "-w", "-t", table)
    check = subprocess.run((*place, "-C", chain, *rule), check=False, capture_output=True, timeout=SECONDS)
    if check.returncode:
        run(*place, "-A", chain, *rule)


def _listed(*argv: str) -> list[dict[str, Any]]:
    answer = run(*argv).stdout
    found: list[dict[str, Any]] = json.loads(answer) if answer.strip() else []
    return found
