"""clusterup as a library: apply an inventory from Python, and read what happens.

python docs/examples/apply.py inventory.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

from bootstrap.engine.events import ActionDone, ActionFailed, Event, FactsRead
from bootstrap.engine.lock import Patience
from bootstrap.errors import ClusterupError, ErrorGroup, PartlyDone
from bootstrap.operations.apply import applying
from bootstrap.operations.program import Program, observing
from bootstrap.operations.reading import intent_of_file
from bootstrap.phases.prepared import erases
from bootstrap.state.cluster import cluster_state


def tell(event: Event) -> None:
    """Called with every event, from the threads in which they happen."""
    match event:
        case FactsRead(node=node, error=None):
            print(f"{node}: looked at", flush=True)
        case ActionDone(node=node, title=title, seconds=seconds):
            print(f"{node or 'cluster'}: {title} ({seconds:.1f} s)", flush=True)
        case ActionFailed(error=error):
            print(error, file=sys.stderr, flush=True)


def main(inventory: Path) -> int:
    """Apply the inventory; the exit code is the one that `clusterup apply` would have."""
    program = Program(command=f"example {inventory}", shows=observing(tell), parallel=8)
    with applying(
        lambda: intent_of_file(inventory, None, cluster_state),
        program,
        Patience(),
        doing=f"example {inventory}",
        again=f"run it again: example {inventory}",
    ) as work:
        prepared = work.prepared()
        for error in prepared.world.unreachable.values():
            print(error, file=sys.stderr)
        if prepared.problems:
            raise ErrorGroup(prepared.problems)
        if not prepared.world.anything_found:
            return ClusterupError.exit_code
        print(f"erased: {', '.join(sorted(erases(prepared.plan))) or 'no disk'}; {len(prepared.plan.items)} actions")
        ran = work.carry_out(prepared)
        if ran is None:
            return PartlyDone.exit_code if prepared.world.unreachable else 0
        work.session.raise_if_lost(ran)
        return ran.exit_code


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except ClusterupError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
