"""How commands show an operation on the terminal, ask a person, and end.

Imported by commands when they run: it is not quick.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import typer

from bootstrap.cli.options import How, Output, PlanOutput
from bootstrap.cli.typed import typed
from bootstrap.engine.cancellation import Cancellation
from bootstrap.engine.events import Observer, unobserved
from bootstrap.engine.plan import plan_as_data
from bootstrap.errors import ErrorGroup, Refused
from bootstrap.inventory.model import Inventory
from bootstrap.operations.program import Program
from bootstrap.operations.reading import notes_of
from bootstrap.outside import on_one_line
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.pki.kubeconfig_merge import Other, another_cluster, merge_kubeconfig, others_in, own_kubeconfig
from bootstrap.questions import asking
from bootstrap.signals import handled
from bootstrap.ui.jsonl import JsonObserver
from bootstrap.ui.plain import Detail, PlainObserver
from bootstrap.ui.review import Diffs, plan_lines
from bootstrap.ui.words import failure_lines, report_lines

if TYPE_CHECKING:
    from bootstrap.connect.ssh import Ask
    from bootstrap.operations.intent import Intent
    from bootstrap.operations.session import Finished, Session
    from bootstrap.phases.prepared import Prepared


W = TypeVar("W")
P = TypeVar("P", bound="Prepared | None")
# Actions that are named in an error.
MOST_NAMED = 10
# What of an action counts when somebody has agreed to it.
AGREED = ("node", "step", "erases", "files", "units")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Disks that a question names.
MOST_DISKS = 8


def program_of(how: How) -> Program:
    """The command that was typed, as whoever has an operation done."""
    return Program(
        command=typed(sys.argv[1:]),
        shows=_shows(how),
        say=say,
        ask=person(),
        stops=stopping,
        parallel=how.parallel,
    )


def say(text: str) -> None:
    """Tell the person something that is not a result."""
    typer.echo(text, err=True)


def person() -> Ask | None:
    """Whom to ask about host keys: the person on the terminal, or no one where there is none."""
    return _confirmed if sys.stdin.isatty() else None


def _confirmed(question: str) -> bool:
    with asking():
        return typer.confirm(on_one_line(question))


def show_plan(prepared: Prepared, how: How, diffs: Diffs | None = None) -> None:
    """The plan, where a person reads."""
    if how.output is Output.TEXT:
        typer.echo("\n".join(plan_lines(prepared.plan, prepared.world.unreachable, diffs)))


def show_notes(intent: Intent, prepared: Prepared) -> None:
    """What a person has to know of the nodes that leave, and of the bundle."""
    tell(notes_of(intent, prepared))


def tell(notes: Iterable[str]) -> None:
    """What a person should know, a line each."""
    for note in notes:
        say(on_one_line(f"note: {note}"))


def stop_for_problems(prepared: Prepared) -> None:
    """Say which nodes can't be reached, and stop when something speaks against going on."""
    for error in prepared.world.unreachable.values():
        say(str(error))
    if prepared.problems:
        raise ErrorGroup(prepared.problems)
    if not prepared.world.anything_found:
        raise typer.Exit(1)


def when_agreed(
    at_work: Callable[[], AbstractContextManager[W]],
    look: Callable[[W], P],
    tell_of: Callable[[W, P], Callable[[], None] | None],
    act: Callable[[W, P], None],
) -> None:
    """Have an operation done that a person may have to agree to: `look` says what would be done, `tell_of` shows it and
    returns what asks, or None where no one has to be asked, `act` does it.

    Nobody waits for the person: while they read, no lock is held. Then it is looked at again, and nothing is done where
    something else would be done by now. Raises Refused for that.
    """
    with at_work() as work:
        shown = look(work)
        ask = tell_of(work, shown)
        if ask is None:
            act(work, shown)
            return
    ask()
    with at_work() as work:
        now = look(work)
        require_same(shown, now)
        act(work, now)


def require_same(shown: Prepared | None, now: Prepared | None) -> None:
    """Raise Refused where something else would be done now than what was shown."""
    if now is not None and now.problems:
        raise ErrorGroup(now.problems)
    before, after = (_agreed_to(each) for each in (shown, now))
    other = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    if other:
        raise Refused(
            "something has changed since you were asked; nothing was done",
            step="plan",
            tried="look again before doing it",
            got=f"other now: {', '.join(other[:MOST_NAMED])}",
            hint="run the command again, and read what it would do now",
        )


def _agreed_to(prepared: Prepared | None) -> dict[str, dict[str, object]]:
    """What a person has agreed to, by the ids of the actions. Their words may have numbers in them that change by
    themselves, as that of the pods on a node."""
    items = () if prepared is None else plan_as_data(prepared.plan)
    return {str(item["id"]): {name: item.get(name) for name in AGREED} for item in items}


def confirm(question: str, refused: Refused) -> None:
    """Ask; anything but yes ends the command. Raises `refused` where no one is there to ask."""
    if not sys.stdin.isatty():
        raise refused
    if not _confirmed(question):
        raise typer.Exit(1)


def confirm_erasing(prepared: Prepared) -> None:
    """Ask whether the disks that the plan erases may be. Raises Refused where no one can be asked."""
    items = (item.action for item in prepared.plan.items if item.action.erases)
    disks = list(dict.fromkeys(f"{action.erases} of {action.node}" for action in items))
    named = "; ".join(disks[:MOST_DISKS]) + (f"; and {len(disks) - MOST_DISKS} more" if len(disks) > MOST_DISKS else "")
    confirm(f"Erased: {named}. Go on?", no_one_to_ask("disks would be erased", "apply"))


def no_one_to_ask(what: str, step: str, hint: str = "read the plan, then run it with --yes") -> Refused:
    """What to say where something needs a yes and no terminal is there."""
    return Refused(
        f"{what} and no one is there to ask",
        step=step,
        tried="ask on the terminal",
        got="standard input is none",
        hint=hint,
    )


def finish(session: Session, ran: Finished, how: How) -> None:
    """Say how a run ended: what failed, how each node stands, and how to go on. Raises typer.Exit where not all of it
    was done, LockLost."""
    for failure in failure_lines(ran.report):
        say(failure)
    lines = report_lines(ran.report, ran.unreachable, session.again)
    typer.echo("\n".join(lines), err=how.output is Output.JSON)
    session.raise_if_lost(ran)
    if ran.code_of_actions:
        raise typer.Exit(ran.code_of_actions)


def replaced_by_merging(intent: Intent) -> list[Other]:
    """The entries of another cluster in the person's own kubeconfig that merging would replace. Raises BadUse where
    nothing can be merged into it."""
    return others_in(own_kubeconfig(), admin_kubeconfig(intent.inventory, intent.keys))


def confirm_replacing(others: Collection[Other]) -> None:
    """Ask whether these entries may be replaced, where there are any. Raises Refused where no one can be asked."""
    if not others:
        return
    place = own_kubeconfig()
    confirm(
        f"{place} has, of another cluster, {', '.join(map(str, others))}. Replace them? (a copy is kept as "
        f"{place.name}.bak)",
        another_cluster(place, others),
    )


def merge_into_own(intent: Intent, replaced: Collection[Other]) -> None:
    """Put the cluster into the person's own kubeconfig, as its current context, and say so."""
    place = own_kubeconfig()
    merge_kubeconfig(place, admin_kubeconfig(intent.inventory, intent.keys), replaced)
    say(f"{place}: its current context is {intent.inventory.cluster.name} now")


@contextmanager
def stopping(cancellation: Cancellation) -> Iterator[None]:
    """Ctrl-C once, or SIGTERM, or a terminal that is gone: begin nothing new. Twice: end what is under way too."""

    def pressed(*_: object) -> None:
        if cancellation.interrupted.is_set():
            cancellation.abort.set()
        else:
            cancellation.interrupted.set()
            with suppress(OSError, ValueError):
                sys.stderr.write("\nfinishing what has begun; press Ctrl-C again to stop now\n")

    told = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    with handled(told, pressed):
        yield


def _shows(how: How) -> Callable[[Inventory], AbstractContextManager[Observer]]:
    detail = Detail.COMMANDS if how.verbose else Detail.STEPS
    return lambda inventory: observed(inventory, how.output, detail)


@contextmanager
def observed(inventory: Inventory, output: Output | PlanOutput, detail: Detail) -> Iterator[Observer]:
    """Who shows what happens: live lines on a terminal, plain ones elsewhere, JSON for machines; no one where one YAML
    document is all that may be written."""
    if output in (Output.JSON, PlanOutput.JSON):
        yield JsonObserver(sys.stdout.write)
    elif output is PlanOutput.YAML:
        yield unobserved
    elif sys.stdout.isatty():
        from bootstrap.ui.live import LiveObserver
        from bootstrap.ui.terminal import SafeConsole, moves_its_cursor

        console = SafeConsole()
        if not moves_its_cursor(console):
            yield PlainObserver(sys.stdout.write, detail)
            return
        with LiveObserver(console, [node.name for node in inventory.nodes], detail) as live:
            yield live
    else:
        yield PlainObserver(sys.stdout.write, detail)
