"""The command line as data: what completion, the list of commands and the man pages read, in a file beside this one.

`scripts/describe-commands` makes that file out of the commands themselves. It is quick to read, where the commands are
not: nothing here imports them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("commands.json")


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option (its `names` begin with a dash) or an argument. `metavar` is empty where an option takes no value;
    `choices` are all its values; `kind` is what is looked up for it: see `bootstrap.cli.described.names`."""

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    many: bool = False
    required: bool = False
    choices: tuple[str, ...] = ()
    kind: str = ""

    @property
    def is_option(self) -> bool:
        return self.names[0].startswith("-")


@dataclass(frozen=True, slots=True)
class Described:
    """A command, or a group of them. `module` has it, and registers it."""

    name: str
    help: str
    module: str = ""
    parameters: tuple[Parameter, ...] = ()
    commands: Mapping[str, Described] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The first sentence of its help."""
        paragraph = " ".join(self.help.partition("\n\n")[0].split())
        sentence, stop, _ = paragraph.partition(". ")
        return sentence.removesuffix(".") if stop else paragraph.removesuffix(".")

    @property
    def options(self) -> tuple[Parameter, ...]:
        return tuple(each for each in self.parameters if each.is_option)

    @property
    def arguments(self) -> tuple[Parameter, ...]:
        return tuple(each for each in self.parameters if not each.is_option)


def read_tree() -> Described:
    """All commands."""
    return of_data("clusterup", json.loads(FILE.read_bytes()))


def of_data(name: str, data: Mapping[str, Any]) -> Described:
    """A command as it stands in the file."""
    return Described(
        name,
        data["help"],
        data.get("module", ""),
        tuple(_parameter(each) for each in data.get("parameters", ())),
        {each: of_data(each, inner) for each, inner in data.get("commands", {}).items()},
    )


def as_data(described: Described) -> dict[str, Any]:
    """As it stands in the file; what is empty is left out."""
    found = {
        "help": described.help,
        "module": described.module,
        "parameters": [_parameter_data(each) for each in described.parameters],
        "commands": {name: as_data(each) for name, each in described.commands.items()},
    }
    return {key: value for key, value in found.items() if value or key == "help"}


def _parameter(data: Mapping[str, Any]) -> Parameter:
    lists = {key: tuple(data[key]) for key in ("names", "choices") if key in data}
    return Parameter(**{**data, **lists})


def _parameter_data(parameter: Parameter) -> dict[str, Any]:
    found = {
        "names": list(parameter.names),
        "help": parameter.help,
        "metavar": parameter.metavar,
        "many": parameter.many,
        "required": parameter.required,
        "choices": list(parameter.choices),
        "kind": parameter.kind,
    }
    return {key: value for key, value in found.items() if value or key in ("names", "help")}
