"""Describe all commands for completion, the list of commands and the man pages."""

from __future__ import annotations

from bootstrap.cli.described.all_commands import described_commands
from bootstrap.cli.described.describe import write_tree
from bootstrap.cli.described.tree import FILE
from bootstrap.cli.main import options

if __name__ == "__main__":
    write_tree(described_commands(options))
    print(f"wrote {FILE}")
