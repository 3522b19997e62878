"""Every command, imported: for whoever describes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

import typer

from bootstrap.cli.described.describe import describe
from bootstrap.cli.described.tree import Described

# In the order in which the list of commands has them.
MODULES = (
    *("inventory", "apply", "remove", "looking.status", "looking.doctor", "down", "looking.console"),
    *("looking.shell", "looking.journal", "looking.support", "images.image", "images.bundle", "adopt", "token"),
    *("join", "stick", "labs.lab", "looking.self_test", "described.man"),
)


def described_commands(options: Callable[..., None]) -> Described:
    """All commands, behind the options of the command line itself, which that function takes."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.callback()(options)
    named: dict[str, str] = {}
    for module in _modules():
        before = list(_names(app))
        import_module(module).register(app)
        named |= {name: module for name in _names(app) if name not in before}
    return describe(app, named)


def _modules() -> Iterator[str]:
    return (f"bootstrap.cli.{module}" for module in MODULES)


def _names(app: typer.Typer) -> Iterator[str]:
    for command in app.registered_commands:
        if command.callback is not None:
            yield command.name or command.callback.__name__.replace("_", "-")
    for group in app.registered_groups:
        yield str(group.name)
