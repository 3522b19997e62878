"""What `scripts/add-release` runs: see there."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image.upstream.adding import text_of, with_release
from bootstrap.image.upstream.components import COMPONENTS
from bootstrap.image.upstream.table import FORMAT, NAME
from bootstrap.paths import templates_dir


def main() -> int:
    """Write the row; 0 when it is written."""
    parser = argparse.ArgumentParser(description="Add a release of Kubernetes to the table, with its digests.")
    parser.add_argument("release", help="A release, as in 1.36.2, or a minor version for its newest one.")
    parser.add_argument("component", nargs="*", help="What belongs to it, as in etcd=3.6.9.")
    parser.add_argument("--table", type=Path, default=templates_dir() / NAME, help="The file that is changed.")
    options = parser.parse_args()
    try:
        table = json.loads(options.table.read_text()) if options.table.exists() else {"format": FORMAT}
        options.table.write_text(text_of(with_release(table, options.release, _named(options.component), _say)))
    except ClusterupError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _named(components: list[str]) -> dict[str, str]:
    found = dict(each.partition("=")[::2] for each in components)
    if unknown := [name for name, release in found.items() if name not in COMPONENTS or not release]:
        raise BadUse(
            f"{unknown[0]} is not a component and its release",
            step="add-release",
            hint=f"as in etcd=3.6.9; there are {', '.join(sorted(COMPONENTS))}",
        )
    return found


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
