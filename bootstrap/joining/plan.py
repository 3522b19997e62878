"""The plan of joining one machine with a token, and its last action: the kubelet joins with the token that was given.

Whether the node is Ready is asked on the node, as the node: the token may have ended by then, or be used up.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_errors import KubeForbidden, KubeUnauthorized
from bootstrap.constants.objects import KUBELET_SIGNER
from bootstrap.constants.paths import BOOTSTRAP_CONF, KUBELET_CERTIFICATE, KUBELET_PENDING_KEY, KUBERNETES_CA
from bootstrap.constants.ports import LOCAL_API_PORT
from bootstrap.engine.action import Action, Context
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import Observer
from bootstrap.engine.gather import gather
from bootstrap.engine.plan import make_plan
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.cluster import all_seen
from bootstrap.facts.model import ApiFacts, ClusterFacts
from bootstrap.facts.node import read_node
from bootstrap.joining.node import STEP, Joining, installation_for
from bootstrap.joining.preflight import ADVICE, machine_problems, same_machine, token_problems, way_problems
from bootstrap.operations.planning import bundle_problems
from bootstrap.phases.deploy import commands
from bootstrap.phases.deploy.commands import stop_units
from bootstrap.phases.deploy.deploy import deploy_actions
from bootstrap.phases.deploy.services import begin_units, put_files, units_run
from bootstrap.phases.install.install import disks_written, install_actions
from bootstrap.phases.kubelet import READY_SECONDS, bootstrap_file, has_certificate, join_reason
from bootstrap.phases.preflight import preflight
from bootstrap.phases.prepared import Prepared
from bootstrap.phases.reasons import judged
from bootstrap.protocol.nodes import is_ready
from bootstrap.spec.node_services import KUBELET
from bootstrap.transport.base import Command, Transport

_OWN_NODE = """\
python3 -c '
import json, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
context.load_cert_chain(sys.argv[2])
opener = urllib.request.build_opener(urllib.request.ProxyHandler(dict()), urllib.request.HTTPSHandler(context=context))
conditions = json.load(opener.open(sys.argv[3], timeout=20))["status"]["conditions"]
print("Ready" if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions) else "not Ready")
' {} {} {}
"""


def own_node(name: str) -> Command:
    """Print "Ready" or "not Ready", what the node's own Node says to the node, asked with the kubelet's certificate."""
    url = f"https://127.0.0.1:{LOCAL_API_PORT}/api/v1/nodes/{name}"
    return Command.of("look at the Node", _OWN_NODE, KUBERNETES_CA, KUBELET_CERTIFICATE, url)


def look_at(joining: Joining, connections: Connections, observe: Observer) -> ClusterFacts:
    """The facts of the machine, and the Node that has its name already. Raises KubeError."""
    name = joining.node.name

    def read(way: Transport) -> Any:
        return read_node(way, joining.desired.wanted)

    found = gather([name], read, connections, parallel=1, observe=observe)
    with joining.api() as api:
        node = api.get("Node", name)
    objects = {f"Node/{name}": node} if node is not None else {}
    ready = {name: is_ready(node)} if node is not None else {}
    return ClusterFacts(all_seen([name], found), api=ApiFacts(ready, objects))


def prepare_join(joining: Joining, world: ClusterFacts, connections: Connections, *, wipe: bool) -> Prepared:
    """What would make the machine a node of the cluster, and all that speaks against it."""
    name = joining.node.name
    may_be_wiped = frozenset({name} if wipe else ())
    installation = installation_for(joining)
    done = disks_written(joining.inventory, world, installation, may_be_wiped)
    problems = preflight(
        joining.inventory,
        world,
        cluster_id=joining.description.cluster_id,
        bundle=joining.bundle,
        wipe=may_be_wiped,
        written=done,
        advice=ADVICE,
    )
    facts, node = world.nodes.get(name), (world.api.objects if world.api else {}).get(f"Node/{name}")
    if facts is not None:
        problems += machine_problems(joining, facts, node)
        if node is None or not same_machine(joining, facts, node):
            problems += [*token_problems(joining, node), *way_problems(joining, connections.on(name))]
    actions = install_actions(joining.inventory, world, installation, done)
    actions += deploy_actions(joining.desired, world)
    plan = make_plan([*actions, *token_join_actions(joining)], world)
    problems += bundle_problems(plan, joining.bundle, joining.description.trusted_keys)
    return Prepared(world, tuple(problems), plan)


def token_join_actions(joining: Joining) -> list[Action[ClusterFacts]]:
    """The action that makes the machine a Ready node of the cluster."""
    name = joining.node.name
    return [
        Action(
            id=f"{name}/join",
            node=name,
            step=STEP,
            title=f"join the kubelet to the cluster {joining.description.cluster} with token {joining.token.id}",
            check=judged(name, lambda facts, world: join_reason(joining.desired, facts, world)),
            apply=lambda context: join_with_token(context, joining),
            needs=(f"{name}/runtime",),
        )
    ]


def join_with_token(context: Context, joining: Joining) -> None:
    """Start the kubelet, with the token where it has no certificate that is still good, wait until the Node is Ready,
    and take the token from the node again. Raises Refused where its certificate is refused, ClusterupError."""
    name, units = joining.node.name, joining.desired.kubelet
    refused: list[str] = []
    with joining.api() as api:
        told = _refusals_told(api, joining)
        try:
            if not has_certificate(context, name, joining.cluster.ca_pem):
                # A kubelet that asks with an older token goes on with that, whatever is in the file.
                context.on(name).check(stop_units([KUBELET]))
                context.on(name).check(commands.remove_file(KUBELET_PENDING_KEY))
                file = bootstrap_file(joining.description.cluster, joining.cluster.ca_pem, joining.token)
                put_files(context, name, [file])
            begin_units(context, name, units)

            asked = count()

            def joined() -> bool:
                # Nothing is decided at once, and with its certificate nothing can be refused any more.
                if next(asked) and not has_certificate(context, name, joining.cluster.ca_pem):
                    refused.extend(told())
                if refused:
                    return True
                return units_run(context, name, units) and _says_ready(context, name)

            context.wait_until(joined, what=f"Node {name} to be Ready", timeout=READY_SECONDS, every=5.0)
            if refused:
                raise Refused(
                    "the cluster refuses to give the kubelet a certificate for this token",
                    node=name,
                    step=STEP,
                    tried=f"ask for one with token {joining.token.id}",
                    got="; ".join(refused),
                    hint=f"a machine that takes a Node's place joins with a token for its name (`clusterup token "
                    f"create --node {name}`), any other one with an ordinary one (`clusterup token create`); this "
                    "command goes on with it from here",
                )
        except ClusterupError:
            # What went wrong is the thing to say.
            with suppress(ClusterupError):
                _take_token_away(context, name)
            raise
    _take_token_away(context, name)


def _take_token_away(context: Context, name: str) -> None:
    context.on(name).check(commands.remove_file(BOOTSTRAP_CONF))


def _says_ready(context: Context, name: str) -> bool:
    return context.on(name).check(own_node(name)).text.strip() == "Ready"


def _refusals_told(api: KubeClient, joining: Joining) -> Callable[[], list[str]]:
    """What asks for the words with which requests for this node's certificate were refused from here on; there are none
    where it may not look, or the token is no good any more."""
    user = f"system:bootstrap:{joining.token.id}"
    try:
        now = api.version_of_all("CertificateSigningRequest")
    except (KubeForbidden, KubeUnauthorized):
        return list

    def told() -> list[str]:
        try:
            found = api.list_remembered("CertificateSigningRequest", fields={"spec.signerName": KUBELET_SIGNER})
        except (KubeForbidden, KubeUnauthorized):
            return []
        later = [each for each in found if int(each["metadata"]["resourceVersion"]) > now]
        return [
            str(condition.get("message") or "Denied")
            for each in later
            if each["spec"].get("username") == user
            for condition in (each.get("status") or {}).get("conditions") or ()
            if condition.get("type") == "Denied" and _is_for(each, joining.node.name)
        ]

    return told


def _is_for(request: dict[str, Any], name: str) -> bool:
    import base64

    from cryptography import x509

    try:
        asked = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
    except ValueError:
        return False
    return any(part.value == f"system:node:{name}" for part in asked.subject)
