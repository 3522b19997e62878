"""What several commands do before and after their own work: read the inventory, open the ways, merge a kubeconfig.

Imported by commands when they run: it is not quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import typer

from bootstrap.adopt.adopt import bundle_of_nodes
from bootstrap.adopt.fetch import read_server
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.tunnel import AGAIN_SECONDS, ASKED_SECONDS, ApiServers, any_api
from bootstrap.connect.ssh import Ask, OpenNode, opener
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import Observer, nobody
from bootstrap.engine.logged import LoggedTransport
from bootstrap.engine.patience import until
from bootstrap.engine.saved import SavedPlan, saved_plan
from bootstrap.errors import ClusterupError, Refused
from bootstrap.inventory.load import Written, read_inventory
from bootstrap.inventory.model import Inventory
from bootstrap.operations.apply import Intent, intent_of, leaves
from bootstrap.operations.stale_plan import about, facts_as_data
from bootstrap.outside import on_one_line
from bootstrap.phases.kubeconfig import admin_kubeconfig, kubeconfig_beside
from bootstrap.phases.leave.checks import notes, pruned
from bootstrap.phases.prepared import Prepared
from bootstrap.pki.kubeconfig import merge_kubeconfig, own_kubeconfig
from bootstrap.pki.store import read_if_there
from bootstrap.spec.topology import endpoint_of
from bootstrap.state.cluster import ClusterState, state_to_look_at
from bootstrap.state.joiner import require_operator
from bootstrap.state.membership import Roll, read_roll

# How long servers that are asked over SSH may take to have an API server that is ready.
ANSWER_SECONDS = 10.0

AUTHORITY = "pki/ca.crt"


StateOf = Callable[[str], ClusterState]


def intent_of_file(path: Path, kubeconfig: Path | None, state_of: StateOf = state_to_look_at) -> Intent:
    """What the inventory at `path` comes to, with the state of its cluster as `state_of` gives it by its name. Raises
    ClusterupError for an inventory, a bundle or a state that can't be used."""
    return intent_of_written(path, read_inventory(path), kubeconfig, state_of)


def intent_of_written(
    path: Path, written: Written, kubeconfig: Path | None, state_of: StateOf = state_to_look_at
) -> Intent:
    """As `intent_of_file`, of what is, or will be, in the file at `path`."""
    inventory = written.inventory
    require_operator(inventory.cluster.name)
    place = kubeconfig or kubeconfig_beside(path, inventory.cluster.name)
    state = state_of(inventory.cluster.name)
    bundle = bundle_of_nodes(inventory.os.bundle, state.folder)
    return intent_of(inventory, state, bundle, place, written=written.content, places=written.places)


def intent_of_made(path: Path) -> Intent:
    """As `intent_of_file`, of a cluster whose keys are here. Raises Refused where there are none yet."""
    intent = intent_of_file(path, None)
    if AUTHORITY in intent.state.vault.made:
        raise Refused(
            f"there is no cluster {intent.inventory.cluster.name} yet, as far as is known here",
            step="state",
            tried=f"look for its keys in {intent.state.folder}",
            got="none",
            hint=f"make it: clusterup apply {path}; or, where it was made from another machine, take it over: "
            "clusterup adopt root@SERVER",
        )
    return intent


def with_pruned(intent: Intent, wipe: Collection[str]) -> Intent:
    """The same, and that the nodes leave that have left the inventory; the disks of those in `wipe` are erased."""
    return leaves(intent, *pruned(intent.inventory, roll_of(intent), wipe))


def roll_of(intent: Intent) -> Roll:
    """Who belongs to the cluster: as it was applied from here, or else as the first server says that has been handed
    an inventory."""
    roll = read_roll(intent.state)
    if roll is not None:
        return roll
    with connections_of(intent, nobody) as connections:
        for server in intent.servers:
            with suppress(ClusterupError):
                nodes = read_server(connections.on(server)).handover.inventory.nodes
                return Roll({node.name: node for node in nodes})
    return Roll()


def left_behind(intent: Intent) -> str | None:
    """Which nodes left the inventory and still belong to the cluster, where nothing is to be done about it."""
    names = (read_roll(intent.state) or Roll()).without_entry(intent.inventory)
    if not names or intent.leaving:
        return None
    them = "it" if len(names) == 1 else "them"
    return f"not in the inventory any more: {', '.join(names)}; --prune would take {them} out of the cluster"


def notes_of(intent: Intent, prepared: Prepared) -> list[str]:
    """What a person has to know of the nodes that leave, and of a bundle that is only known of."""
    found = list(notes(intent.inventory, intent.leaving, prepared.world, read_if_there(intent.kubeconfig) or b""))
    if intent.bundle.directory == intent.state.bundle_folder:
        wanted = intent.inventory.os.bundle or "none was built here"
        found.append(
            f"the bundle's files are not here ({wanted}): nothing can be installed until they are; all else goes by "
            "what is known of the bundle that the cluster is made of"
        )
    return found


def saved_plan_of(intent: Intent, inventory: Path, prepared: Prepared) -> SavedPlan:
    """The plan as it is saved, and as a saved one is compared with what is so now."""
    return saved_plan(prepared.plan, about=about(intent, inventory), facts=facts_as_data(prepared.world))


def person() -> Ask | None:
    """Whom to ask about host keys: the person on the terminal, or nobody where there is none."""
    return (lambda question: typer.confirm(on_one_line(question))) if sys.stdin.isatty() else None


@contextmanager
def connections_of(
    intent: Intent, observe: Observer, ask: Ask | None = None, through: Callable[[OpenNode], OpenNode] = lambda way: way
) -> Iterator[Connections]:
    """The ways into the nodes. `ask` is asked about host keys that nothing is known of; without it they are refused.
    `through` makes something else of what opens a node over SSH."""
    with connections_to(intent.everybody, intent.state, observe, ask, through) as connections:
        yield connections


@contextmanager
def connections_to(
    inventory: Inventory,
    state: ClusterState,
    observe: Observer,
    ask: Ask | None = None,
    through: Callable[[OpenNode], OpenNode] = lambda way: way,
) -> Iterator[Connections]:
    """As `connections_of`, for an inventory of which nothing more than its nodes is needed."""
    open_node = through(opener(inventory, state, ask))
    connections = Connections(lambda name: LoggedTransport(open_node(name), observe))
    try:
        yield connections
    finally:
        connections.close_all()


@contextmanager
def endpoint_client(intent: Intent) -> Iterator[KubeClient]:
    """A client of the API at the endpoint of the kubeconfig, verified for that name, as kubectl does it."""
    host, port = endpoint_of(intent.inventory)
    keys = intent.keys
    with KubeClient(
        host, port, ca_pem=keys.pki.ca.cert_pem, client=keys.admin, server_name=host, timeout=30.0
    ) as client:
        yield client


@contextmanager
def reachable_client(intent: Intent) -> Iterator[KubeClient]:
    """A client of the API at the kubeconfig's endpoint, or, where that does not answer, through the first server that
    is reached over SSH. Raises ClusterupError where no server answers."""
    host, port = endpoint_of(intent.inventory)
    with ExitStack() as stack:
        client = stack.enter_context(endpoint_client(intent))
        if not client.ready():
            typer.echo(f"the API does not answer at {host}:{port}: asking the servers over SSH", err=True)
            servers = ApiServers(intent.inventory.cluster.name, tuple(intent.servers), intent.keys)
            connections = stack.enter_context(connections_of(intent, nobody, person()))
            client = until(
                lambda: stack.enter_context(any_api(connections, servers)),
                what="an API server that answers",
                seconds=ANSWER_SECONDS,
                every=AGAIN_SECONDS,
            )
        yield client.within(ASKED_SECONDS)


def merge_into_own(intent: Intent) -> None:
    """Put the cluster into the person's own kubeconfig, as its current context, and say so."""
    place = own_kubeconfig()
    merge_kubeconfig(place, admin_kubeconfig(intent.inventory, intent.keys))
    typer.echo(f"{place}: its current context is {intent.inventory.cluster.name} now", err=True)
