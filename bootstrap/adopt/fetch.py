"""Reading the handover file of a server that nothing is known of on this machine but how it is reached."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap.connect.ssh import Ask
from bootstrap.constants.paths import HANDOVER
from bootstrap.errors import ClusterupError, Refused
from bootstrap.outside import parsed_json
from bootstrap.pki.sshkeys import fingerprint
from bootstrap.state.handover import Handover, parse_handover
from bootstrap.transport.base import Command, Transport
from bootstrap.transport.connect import Trust
from bootstrap.transport.errors import AuthenticationFailed, HostKeyMismatch
from bootstrap.transport.hostkeys import HostKeys, public_key
from bootstrap.transport.knownhosts import known_keys, name_of
from bootstrap.transport.ssh import open_ssh
from bootstrap.transport.ssh_config.route import route
from bootstrap.transport.target import Hop, SshTarget

STEP = "adopt"
KNOWN = "known"
# Two lines that say what the machine is, either of them empty where it does not say so; then the file.
_READ = """\
IMAGE_ID= VARIANT_ID=
[ ! -r /etc/os-release ] || . /etc/os-release
printf '%s\\n' "$IMAGE_ID/$VARIANT_ID" "$(head -n 1 /etc/clusterup/cluster.json 2>/dev/null)"
[ ! -f {0} ] || cat {0}
"""


@dataclass(frozen=True)
class HandedOver:
    """A handover file: the server that it is from, by its name in the cluster, and the file's SHA-256."""

    server: str
    handover: Handover
    sha256: str


def fetch(target: SshTarget, host_key: str | None, ask: Ask | None) -> HandedOver:
    """The handover file of the server that `target` leads to.

    Its host key is believed when it is `host_key` (a public key line), when the person's ssh knows it, or when `ask`
    says so. Raises ClusterupError.
    """
    trust = _trusting(target, host_key and public_key(host_key), ask)
    # What is pinned while looking is forgotten: nodes' keys are known from their identities afterwards.
    with tempfile.TemporaryDirectory(prefix="clusterup-") as folder:
        try:
            way = open_ssh(target, HostKeys(Path(folder) / "hostkeys.json"), trust)
        except AuthenticationFailed as error:
            raise AuthenticationFailed(
                error.problem,
                node=error.node,
                step=STEP,
                tried=error.tried,
                got=error.got,
                hint="name a key that it lets in with --key: one of its ssh_authorized_keys, or the cluster's own "
                "(ssh/id_ed25519 in the first operator's ~/.local/state/clusterup/clusters/NAME)",
            ) from None
        try:
            return read_server(way)
        finally:
            way.close()


def read_server(transport: Transport) -> HandedOver:
    """The handover file of the machine that `transport` leads to. Raises ClusterupError that says what the machine is
    where it has none."""
    name = transport.node
    answer = transport.check(Command.of("read the handover file", _READ, HANDOVER)).stdout
    image, described, content = (*answer.split(b"\n", 2), b"", b"")[:3]
    told = _description(described)
    if not content:
        raise _none_there(name, image.decode("utf-8", "replace"), told)
    found = parse_handover(content, node=name)
    if told.get("id") != found.cluster_id:
        raise Refused(
            "its handover file is of another cluster than the machine",
            node=name,
            step=STEP,
            tried=f"compare {HANDOVER} with /etc/clusterup/cluster.json",
            got=f"{found.cluster} ({found.cluster_id}), and {told.get('cluster')} ({told.get('id')})",
            hint="adopt from another server, and find out who put the file there",
        )
    return HandedOver(told.get("node", name), found, hashlib.sha256(content).hexdigest())


def _trusting(target: SshTarget, host_key: str | None, ask: Ask | None) -> Trust:
    hops = {hop.pin_name: hop for hop in route(target)}

    def trust(name: str, presented: str, _: dict[str, str]) -> str | None:
        hop = hops[name]
        given = host_key if name == target.node else None
        known = (given,) if given else known_keys(hop.host, hop.port)
        if presented in known:
            return KNOWN
        kind, shown = presented.split(maxsplit=1)[0], fingerprint(presented)
        if other := [line for line in known if given or line.startswith(f"{kind} ")]:
            raise _another_key(hop, fingerprint(other[0]), f"{kind} {shown}", given)
        if ask is not None and ask(f"{hop.described} shows host key {shown}. Is it this machine's?"):
            return KNOWN
        raise Refused(
            f"the host key of {hop.described} is not known; nothing was sent to it",
            node=target.node,
            step=STEP,
            tried="look for it in --host-key and in known_hosts",
            got=f"{kind} {shown}",
            hint="compare it with the one on the machine's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); "
            + (f"then: --host-key '{presented}'" if name == target.node else "then log in to it once with ssh"),
        )

    return trust


def _another_key(hop: Hop, known: str, shown: str, given: str | None) -> HostKeyMismatch:
    fix = "correct --host-key" if given else f"run: ssh-keygen -R '{name_of(hop.host, hop.port)}'"
    return HostKeyMismatch(
        f"{hop.described} shows another host key than the one that is known; nothing was sent to it",
        node=hop.node,
        step=STEP,
        tried=f"{'--host-key' if given else 'known_hosts'} says {known}",
        got=f"shown was {shown}",
        hint=f"if the machine was installed again, {fix}; if not, find out who answers at that address",
    )


def _description(line: bytes) -> dict[str, str]:
    """What an installed node says of itself; empty where there is nothing of the kind."""
    try:
        return {str(key): str(value) for key, value in parsed_json(line).items()}
    except (ValueError, AttributeError):
        return {}


def _none_there(name: str, image: str, told: Mapping[str, str]) -> ClusterupError:
    """Why a machine has no handover file, as far as it can be seen."""
    hint = "name a server of the cluster"
    if image == "clusterup/live":
        problem, got = "it runs our live environment and belongs to no cluster yet", "nothing installed"
    elif not image.startswith("clusterup/"):
        problem, got = "it does not run the micro OS of a cluster", "another Linux"
    elif told.get("role") != "server":
        problem = f"it is an agent of the cluster {told.get('cluster', '?')}; only servers keep what is handed over"
        got = f"node {told.get('node', '?')}, role {told.get('role', '?')}"
    else:
        problem = f"it is a server of the cluster {told.get('cluster')} and has no handover file"
        got = "the cluster was made by an older clusterup, or its first apply did not get as far as this server"
        hint = "adopt from another server, or run `clusterup apply` once on the machine that has the cluster's state"
    return ClusterupError(problem, node=name, step=STEP, tried=f"read {HANDOVER}", got=got, hint=hint)
