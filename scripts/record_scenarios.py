"""What `scripts/record-scenarios` runs: see there, and docs/testing.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.scenarios.commit import RECORD, gap_between, submission
from tests.scenarios.files import existing, now, readings
from tests.scenarios.record import merged, without, write
from tests.scenarios.verdict import counted, table


def main() -> int:
    """Write the record and print the table; 1 where it can't be written."""
    parser = argparse.ArgumentParser(
        prog="scripts/record-scenarios",
        description=f"Bring what this machine has seen of the end-to-end tests into {RECORD}, and print it.",
    )
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help="another checkout")
    root = parser.parse_args().root
    committed, ours = readings(root)
    scenarios = existing(root)
    record = without(merged(committed.record, ours.record), (scenario.name for scenario in scenarios))
    about = submission(root, gap_between(record, ours.record), now())
    print("\n".join([*table(scenarios, {}, record, about), counted(record, about)]))
    print("".join(f"{complaint}\n" for complaint in (*committed.complaints, *ours.complaints)), end="", file=sys.stderr)
    try:
        write(root / RECORD, record)
    except OSError as error:
        print(f"{RECORD} can't be written: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
