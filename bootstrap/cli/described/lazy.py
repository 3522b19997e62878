"""Groups of commands whose modules are imported when a command of theirs is asked for, and not to list them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

from bootstrap.cli.described.elsewhere import known_elsewhere
from bootstrap.cli.described.tree import Described

# Typer hands on what its parser raises, and has no name of its own for it.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


class OnDemand(MutableMapping[str, Any]):
    """The described commands by their names, each made when it is asked for."""

    def __init__(self, described: Described) -> None:
        self._described = described
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module = self._described.commands[name].module
            app = typer.Typer(rich_markup_mode=None, add_completion=False)
            import_module(module).register(app)
            self._made.update(typer.main.get_group(app).commands)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._described.commands)

    def __len__(self) -> int:
        return len(self._described.commands)

    def __contains__(self, name: object) -> bool:
        return name in self._described.commands


class KnowsOthers(TyperGroup):
    """A group that knows what other tools call its commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """As Typer does it, with a better answer to commands of other tools."""
        try:
            return super().resolve_command(ctx, args)
        except USAGE_ERROR as error:
            group = "" if ctx.parent is None else str(self.name)
            if here := known_elsewhere(group, args[0]):
                error.message = f"No such command {args[0]!r}. Here: {here}"  # type: ignore[attr-defined]
            raise
