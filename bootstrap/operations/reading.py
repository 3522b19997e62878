"""What is read before a command: the inventory, the state of its cluster, and who belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from bootstrap.adopt.fetch import read_server
from bootstrap.adopt.state import bundle_of_nodes
from bootstrap.engine.events import unobserved
from bootstrap.engine.saved import SavedPlan, saved_plan
from bootstrap.errors import ClusterupError, Refused
from bootstrap.image.finding import find_bundle
from bootstrap.image.signing import check_signed
from bootstrap.inventory.load import ReadInventory, read_inventory
from bootstrap.operations.connections import connections_of
from bootstrap.operations.intent import Intent, intent_of, leaves
from bootstrap.operations.stale_plan import about, facts_as_data
from bootstrap.phases.etcd.votes import notes_of_votes
from bootstrap.phases.kubeconfig import kubeconfig_beside
from bootstrap.phases.leave.checks import notes, pruned
from bootstrap.phases.prepared import Prepared
from bootstrap.pki.store import read_if_there
from bootstrap.state.cluster import ClusterState, state_to_look_at
from bootstrap.state.joiner import require_operator
from bootstrap.state.membership import Membership, read_membership

NAMED_BUNDLE = "the bundle that was named"
AUTHORITY = "pki/ca.crt"
StateOf = Callable[[str], ClusterState]


def intent_of_file(
    path: Path, kubeconfig: Path | None, state_of: StateOf = state_to_look_at, *, bundle: str | None = None
) -> Intent:
    """What the inventory at `path` comes to, with the state of its cluster as `state_of` gives it by its name. `bundle`
    takes the place of the one that it names. Raises ClusterupError for an inventory, a bundle or a state that can't be
    used."""
    return intent_of_written(path, read_inventory(path), kubeconfig, state_of, bundle=bundle)


def intent_of_written(
    path: Path,
    written: ReadInventory,
    kubeconfig: Path | None,
    state_of: StateOf = state_to_look_at,
    *,
    bundle: str | None = None,
) -> Intent:
    """As `intent_of_file`, of what is, or will be, in the file at `path`."""
    inventory = written.inventory
    require_operator(inventory.cluster.name)
    place = kubeconfig or kubeconfig_beside(path, inventory.cluster.name)
    state = state_of(inventory.cluster.name)
    # One that somebody named has to be there.
    there = find_bundle(bundle) if bundle else bundle_of_nodes(inventory.os.bundle, state.folder)
    found = there.of_release(inventory.kubernetes.version)
    return intent_of(inventory, state, found, place, written=written.content, places=written.places)


def intent_of_made(path: Path) -> Intent:
    """As `intent_of_file`, of a cluster whose keys are here. Raises Refused where there are none yet."""
    written = read_inventory(path)
    name = written.inventory.cluster.name
    state = state_to_look_at(name)
    # Before a bundle is looked for: without keys it would not help. Those of a cluster that was founded are lost, and
    # it is said below which.
    if not state.founded and state.vault.read(AUTHORITY) is None:
        raise Refused(
            f"there is no cluster {name} yet, as far as is known here",
            step="state",
            tried=f"look for its keys in {state.folder}",
            got="none",
            hint=f"make it: clusterup apply {path}; or, where it was made from another machine, take it over: "
            "clusterup adopt root@SERVER",
        )
    return intent_of_written(path, written, None)


def with_pruned(intent: Intent, wipe: Collection[str]) -> Intent:
    """The same, and that the nodes leave that have left the inventory; the disks of those in `wipe` are erased."""
    return leaves(intent, *pruned(intent.inventory, membership_of(intent), wipe))


def membership_of(intent: Intent) -> Membership:
    """Who belongs to the cluster: as it was applied from here, or else as the first server says that has been handed
    an inventory."""
    roll = read_membership(intent.state)
    if roll is not None:
        return roll
    with connections_of(intent, unobserved) as connections:
        for server in intent.servers:
            with suppress(ClusterupError):
                nodes = read_server(connections.on(server)).handover.inventory.nodes
                return Membership({node.name: node for node in nodes})
    return Membership()


def left_behind(intent: Intent) -> str | None:
    """Which nodes left the inventory and still belong to the cluster, where nothing is to be done about it."""
    names = (read_membership(intent.state) or Membership()).without_entry(intent.inventory)
    if not names or intent.leaving:
        return None
    them = "it" if len(names) == 1 else "them"
    return f"not in the inventory any more: {', '.join(names)}; --prune would take {them} out of the cluster"


def notes_of(intent: Intent, prepared: Prepared) -> list[str]:
    """What a person has to know of the nodes that leave, and of a bundle that is only known of."""
    found = list(notes(intent.inventory, intent.leaving, prepared.world, read_if_there(intent.kubeconfig) or b""))
    found += notes_of_votes(prepared.world)
    found += _notes_of_signature(intent)
    if intent.bundle.directory == intent.state.bundle_folder:
        wanted = intent.inventory.os.bundle or "none was built here"
        found.append(
            f"the bundle's files are not here ({wanted}): nothing can be installed until they are; all else goes by "
            "what is known of the bundle that the cluster is made of"
        )
    return found


def _notes_of_signature(intent: Intent) -> Iterator[str]:
    """What nodes that fetch for themselves would say to the bundle, where keys are trusted."""
    try:
        check_signed(intent.bundle, intent.inventory.os.trusted_keys, list(intent.bundle.for_nodes.artifacts))
    except ClusterupError as error:
        yield (
            f"{error.problem}: nothing can be installed, and machines that join by themselves are refused. Sign the "
            "bundle (clusterup bundle sign), or use the copy that is signed"
        )


def saved_plan_of(intent: Intent, inventory: Path, prepared: Prepared, bundle: str | None = None) -> SavedPlan:
    """The plan as it is saved, and as a saved one is compared with what is so now. `bundle` is the one that was named
    in the place of the inventory's."""
    named = {NAMED_BUNDLE: bundle} if bundle else {}
    return saved_plan(prepared.plan, about=about(intent, inventory) | named, facts=facts_as_data(prepared.world))
