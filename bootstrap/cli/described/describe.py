"""The commands themselves, described: out of what Typer makes of their functions."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, get_args, get_type_hints

import typer
import typer.main

from bootstrap.cli.described.tree import FILE, Described, Parameter, as_data

# What is looked up for a parameter: by the path of its command and its name, "*" for any command.
KINDS = {
    ("*", "inventory"): "file",
    ("*", "--wipe"): "node",
    ("*", "--only"): "node",
    ("*", "--node"): "node",
    ("*", "--run"): "run",
    ("*", "--cluster"): "cluster",
    ("*", "--bundle"): "folder",
    ("man", "folder"): "folder",
    ("remove", "node"): "node",
    ("console", "node"): "node",
    ("lab console", "node"): "machine",
    ("lab stop", "node"): "machine",
    ("lab *", "--name"): "lab",
    ("lab *", "saved"): "saved lab",
    ("lab save", "saved"): "",
    ("token create", "--node"): "",
    ("token revoke", "tokens"): "token",
}
# Parameters whose values are files, by what stands for them in the help.
OF_FILES = {"FILE": "file", "FILE...": "file", "INVENTORY": "file"}
OF_FOLDERS = {"FOLDER": "folder"}


def describe(app: typer.Typer, modules: Mapping[str, str]) -> Described:
    """All commands of `app`; `modules` says of each name which module has it."""
    found = _described(typer.main.get_command(app), (), "")
    commands = {name: _in_module(each, modules[name]) for name, each in found.commands.items()}
    return Described("clusterup", found.help, "", found.parameters, commands)


def text_of(described: Described) -> str:
    """The file's content."""
    return json.dumps(as_data(described), indent=1, ensure_ascii=False) + "\n"


def write_tree(described: Described) -> None:
    """Write the file."""
    FILE.write_text(text_of(described), encoding="utf-8")


def _in_module(described: Described, module: str) -> Described:
    return Described(described.name, described.help, module, described.parameters, described.commands)


def _described(command: Any, path: tuple[str, ...], module: str) -> Described:
    inner = getattr(command, "commands", {})
    values = {} if command.callback is None else _choices(command.callback)
    return Described(
        path[-1] if path else "clusterup",
        inspect.cleandoc(command.help or ""),
        module,
        tuple(
            _parameter(each, path, values.get(each.name, ()))
            for each in command.params
            if not getattr(each, "hidden", False)
        ),
        {name: _described(each, (*path, name), "") for name, each in inner.items()},
    )


def _choices(function: Callable[..., Any]) -> dict[str, tuple[str, ...]]:
    """The values of those parameters of a command that take one of a few."""
    # Typer wraps the function of a command.
    hints = get_type_hints(inspect.unwrap(function))
    found = {name: next(filter(_is_enum, (hint, *get_args(hint))), None) for name, hint in hints.items()}
    return {name: tuple(str(each.value) for each in kind) for name, kind in found.items() if kind is not None}


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _parameter(parameter: Any, path: Sequence[str], choices: tuple[str, ...]) -> Parameter:
    is_option = parameter.param_type_name == "option"
    names = (*parameter.opts, *parameter.secondary_opts) if is_option else (parameter.name,)
    takes = not (is_option and parameter.is_flag)
    metavar = (parameter.metavar or "|".join(choices) or parameter.name.upper()) if takes else ""
    many = bool(getattr(parameter, "multiple", False)) or parameter.nargs == -1
    return Parameter(
        names=tuple(sorted(names, key=lambda name: not name.startswith("--"))),
        help=parameter.help or "",
        metavar=metavar,
        many=many,
        required=bool(parameter.required),
        choices=choices,
        kind=_kind(path, names, metavar) if takes else "",
    )


def _kind(path: Sequence[str], names: Sequence[str], metavar: str) -> str:
    whole = " ".join(path)
    for command in (whole, f"{path[0]} *" if path else "", "*"):
        for name in names:
            if (command, name) in KINDS:
                return KINDS[command, name]
    return {**OF_FILES, **OF_FOLDERS}.get(metavar, "")
