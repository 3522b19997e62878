"""Pages for people, out of the described commands: the list of all of them, and man pages.

Source of the latter: man(7), man-pages(7).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from bootstrap.cli.described.tree import Described, Parameter

WIDEST = 80
INDENT, GAP, WIDEST_NAME = "  ", 2, 30
HELP = Parameter(("--help", "-h"), "Show this message and exit.")
# What begins a paragraph whose lines stay as they are.
AS_IT_IS = "\b"
EXIT_CODES = (
    ("0", "it is done, or there was nothing to do"),
    ("1", "it failed"),
    ("2", "bad use: an option, an inventory or a file that can't be used"),
    ("3", "it is done in part: a node did not answer, or is not healthy"),
    ("4", "refused: it would have broken something, or somebody else is at work"),
    ("130", "interrupted (Ctrl-C); run it again, and it goes on"),
    ("141", "nobody read what it had to say"),
)


def help_page(tree: Described, columns: int) -> str:
    """What `clusterup --help` prints, on a terminal of so many columns."""
    width = min(columns, WIDEST) - 2
    options = [(_names(each), each.help) for each in (*tree.options, HELP)]
    commands = [(name, each.short) for name, each in tree.commands.items()]
    return "\n".join(
        [
            f"Usage: {tree.name} [OPTIONS] COMMAND [ARGS]...",
            "",
            *_wrapped(tree.help, width),
            "",
            "Options:",
            *_table(options, width),
            "",
            "Commands:",
            *_table(commands, width),
            "",
        ]
    )


def man_pages(tree: Described, version: str) -> Iterator[tuple[str, str]]:
    """The man pages, one a command: the file's name and its content."""
    yield f"{tree.name}.1", _man_page(tree, tree.name, version, ())
    for path, described in _commands(tree, (tree.name,)):
        others = [
            " ".join(each) for each, _ in _commands(tree, (tree.name,)) if each[:-1] == path[:-1] and each != path
        ]
        yield f"{'-'.join(path)}.1", _man_page(described, " ".join(path), version, others)


def _commands(described: Described, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Described]]:
    for name, each in described.commands.items():
        yield (*path, name), each
        yield from _commands(each, (*path, name))


def _man_page(described: Described, name: str, version: str, others: list[str] | tuple[()]) -> str:
    lines = [f'.TH {name.replace(" ", "-").upper()} 1 "" "clusterup {version}" "clusterup"', ".SH NAME"]
    lines += [f"{_roff(name.replace(' ', '-'))} \\- {_roff(described.short)}", ".SH SYNOPSIS", f".B {_roff(name)}"]
    lines += _synopsis(described)
    lines += [".SH DESCRIPTION", *_paragraphs(described.help)]
    if described.arguments:
        lines += [".SH ARGUMENTS", *_described(described.arguments)]
    lines += [".SH OPTIONS", *_described((*described.options, HELP))]
    if described.commands:
        lines.append(".SH COMMANDS")
        for inner, each in described.commands.items():
            lines += [".TP", f".B {_roff(inner)}", f"{_roff(each.short)}. See {_reference(f'{name} {inner}')}."]
    lines.append(".SH EXIT STATUS")
    for code, meaning in EXIT_CODES:
        lines += [".TP", f".B {code}", _roff(meaning)]
    see = ["clusterup", *others] if name != "clusterup" else []
    if see:
        lines += [".SH SEE ALSO", ", ".join(_reference(each) for each in see)]
    return "\n".join(lines) + "\n"


def _reference(name: str) -> str:
    return f"\\fB{_roff(name.replace(' ', '-'))}\\fR(1)"


def _synopsis(described: Described) -> list[str]:
    words = ["[OPTIONS]", *(["COMMAND [ARGS]..."] if described.commands else ())]
    words += [each.metavar if each.required else f"[{each.metavar}]" for each in described.arguments]
    return [f".I {_roff(' '.join(words))}"]


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.startswith(AS_IT_IS):
            yield ".nf"
            yield from map(_roff, paragraph.removeprefix(AS_IT_IS).strip("\n").splitlines())
            yield ".fi"
        else:
            yield _roff(" ".join(paragraph.split()))


def _described(parameters: tuple[Parameter, ...]) -> Iterator[str]:
    for each in parameters:
        yield ".TP"
        yield f".B {_roff(_names(each))}"
        yield _roff(" ".join(each.help.split())) or "\\&"


def _roff(text: str) -> str:
    """Text of which no letter means anything to roff."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe[:1] in (".", "'") else safe


def _names(parameter: Parameter) -> str:
    if not parameter.is_option:
        return parameter.metavar
    names = ", ".join(sorted(parameter.names, key=lambda name: (name.startswith("--"), parameter.names.index(name))))
    return f"{names} {parameter.metavar}".rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 20), initial_indent=INDENT, subsequent_indent=INDENT)


def _table(rows: list[tuple[str, str]], width: int) -> list[str]:
    """Names in one column, what they are in the next one; a name that is too long has a line to itself."""
    column = min(max(len(name) for name, _ in rows), WIDEST_NAME) + GAP
    lines = []
    for name, about in rows:
        wrapped = textwrap.wrap(about, max(width - column - len(INDENT), 20)) or [""]
        first = f"{INDENT}{name.ljust(column)}"
        if len(name) + GAP > column:
            lines.append(f"{INDENT}{name}")
            first = " " * (len(INDENT) + column)
        lines.append(f"{first}{wrapped[0]}".rstrip())
        lines += [" " * (len(INDENT) + column) + line for line in wrapped[1:]]
    return lines
