"""What may follow what has been typed up to here, out of the described commands and the names of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.cli.described.names import Typed, names_of
from bootstrap.cli.described.tree import Described, Parameter

# Kinds that a shell completes best.
OF_THE_SHELL = ("file", "folder")
Found = list[tuple[str, str]]
Names = Callable[[str, Typed], Found]


@dataclass(frozen=True, slots=True)
class Completions:
    """What the word may become, each with a word about it. `files`: names of files may stand there too."""

    found: tuple[tuple[str, str], ...] = ()
    files: bool = False


@dataclass(slots=True)
class _Line:
    """A line that has been read up to the word that is completed: the command, what its options say, its arguments, and
    the option whose value comes next."""

    command: Described
    path: tuple[str, ...] = ()
    options: dict[str, list[str]] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    waiting: Parameter | None = None
    only_arguments: bool = False


def completions(tree: Described, words: Sequence[str], word: str, names: Names = names_of) -> Completions:
    """What `word` may become behind `words`, which begin after the name of the program."""
    line = _read(tree, words)
    if line.waiting is not None:
        return _values(line, line.waiting, word, names)
    if not line.only_arguments and word.startswith("-"):
        return _options(line, word, names)
    if line.command.commands:
        found = [(name, each.short) for name, each in line.command.commands.items()]
        return Completions(_beginning(found, word))
    argument = _next_argument(line)
    return Completions() if argument is None else _values(line, argument, word, names)


def _read(tree: Described, words: Sequence[str]) -> _Line:
    line = _Line(tree)
    for word in _apart(words):
        if line.waiting is not None:
            line.options.setdefault(line.waiting.names[0], []).append(word)
            line.waiting = None
        elif word == "--" and not line.only_arguments:
            line.only_arguments = True
        elif word.startswith("-") and len(word) > 1 and not line.only_arguments:
            _option(line, word)
        elif line.command.commands:
            line.command = line.command.commands.get(word, Described(word, ""))
            line.path = (*line.path, word)
        else:
            line.arguments.append(word)
    return line


def _apart(words: Sequence[str]) -> list[str]:
    """The words, without the = that bash makes a word of its own."""
    return [word for number, word in enumerate(words) if not (word == "=" and number and words[number - 1][:1] == "-")]


def _option(line: _Line, word: str) -> None:
    name, equals, value = word.partition("=")
    option = _named(line.command, name)
    if option is None:
        return
    values = line.options.setdefault(option.names[0], [])
    if option.metavar and not equals:
        line.waiting = option
    elif equals:
        values.append(value)


def _named(command: Described, name: str) -> Parameter | None:
    return next((each for each in command.options if name in each.names), None)


def _options(line: _Line, word: str, names: Names) -> Completions:
    name, equals, value = word.partition("=")
    if equals:
        option = _named(line.command, name)
        valued = Completions() if option is None else _values(line, option, value, names)
        return Completions(tuple((f"{name}={each}", about) for each, about in valued.found), valued.files)
    found = [
        (shown, option.help)
        for option in line.command.options
        if option.many or option.names[0] not in line.options
        for shown in option.names
        if shown.startswith("--") or word == "-"
    ]
    if "--help".startswith(word):
        found.append(("--help", "Show what it does and what it takes"))
    return Completions(_beginning(found, word))


def _next_argument(line: _Line) -> Parameter | None:
    arguments = line.command.arguments
    if len(line.arguments) < len(arguments):
        return arguments[len(line.arguments)]
    return arguments[-1] if arguments and arguments[-1].many else None


def _values(line: _Line, parameter: Parameter, word: str, names: Names) -> Completions:
    # Bash has taken the = for a word.
    word = "" if word == "=" else word
    if parameter.kind in OF_THE_SHELL or (not parameter.choices and not parameter.kind):
        return Completions(files=parameter.kind in OF_THE_SHELL)
    found = [(each, "") for each in parameter.choices] or names(parameter.kind, _typed(line))
    taken = set(line.options.get(parameter.names[0], ()) if parameter.is_option else line.arguments)
    return Completions(_beginning([each for each in found if each[0] not in taken], word))


def _typed(line: _Line) -> Typed:
    """Which inventory, lab and cluster the line is about."""
    found = Typed()
    files = [
        value
        for argument, value in zip(line.command.arguments, line.arguments, strict=False)
        if argument.names == ("inventory",)
    ]
    inventory = next(iter([*line.options.get("--inventory", []), *files]), str(found.inventory))
    lab = next(iter(line.options.get("--name", [])), found.lab)
    cluster = next(iter(line.options.get("--cluster", [])), "")
    return Typed(Path(inventory), lab, cluster)


def _beginning(found: Found, word: str) -> tuple[tuple[str, str], ...]:
    return tuple(each for each in found if each[0].startswith(word))
