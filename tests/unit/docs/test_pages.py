"""What stands in the pages is so: links lead somewhere, and commands are those that clusterup has."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.cli.described.tree import Described, Parameter, read_tree
from tests.pages import PAGES, ROOT, Typed, anchors_of, commands_of, links_of, words_of

HELP = ("-h", "--help")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading_that_are_there(page: Path) -> None:
    dead = []
    for link in links_of(page):
        target, _, anchor = link.partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors_of(file)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_one_that_clusterup_has_with_options_that_it_takes(page: Path) -> None:
    assert [f"{typed}: {wrong}" for typed in commands_of(page) if (wrong := wrong_with(typed))] == []


def test_every_page_of_the_folder_is_named_in_the_readme() -> None:
    named = set(links_of(ROOT / "README.md"))
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - named == set()


def test_every_library_that_clusterup_stands_on_earns_its_place_in_the_table() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=!~ \[]", each)[0] for each in project["dependencies"]}
    rows = (ROOT / "docs/dependencies.md").read_text().partition("| went |")[0].splitlines()
    named = {row.split("|")[1].strip() for row in rows if row.startswith("| ")} - {"library", "---"}
    assert named == wanted


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("clusterup plan inventory.yaml --diff", None),
        ("clusterup logs NODE [UNIT] -f", None),
        ("clusterup ssh s1 -- ls -la", None),
        ("clusterup lab", None),
        ("clusterup", None),
        ("clusterup plan --difference", "there is no option --difference of plan"),
        ("clusterup paln", "there is no command paln"),
        ("clusterup lab upp", "there is no command lab upp"),
        ("clusterup status a.yaml b.yaml", "status takes no b.yaml"),
        ("clusterup plan -o", "-o of plan wants a value"),
    ],
)
def test_a_command_that_is_none_is_found(command: str, wrong: str | None) -> None:
    typed = Typed("page.md", 1, tuple(words_of(command)[1:]))
    assert wrong_with(typed) == wrong


def wrong_with(typed: Typed) -> str | None:
    """What clusterup would not take of a command; None where it would."""
    command, words, name = read_tree(), list(typed.words), ""
    # The options of clusterup itself come first.
    while command.commands:
        if not words:
            return None
        word = words.pop(0)
        if word.startswith("-"):
            if (option := names_of(command).get(word.partition("=")[0])) is None:
                return f"there is no option {word}"
            if option.metavar and "=" not in word:
                words[:1] = []
            continue
        if (found := command.commands.get(word)) is None:
            # A name in the place of one, as in `clusterup COMMAND --help`.
            return None if word.isupper() or word == "..." else f"there is no command {f'{name} {word}'.strip()}"
        command, name = found, f"{name} {word}".strip()
    return next(wrong_words(command, name, words), None)


def wrong_words(command: Described, name: str, words: list[str]) -> Iterator[str]:
    """What of the words a command does not take."""
    options, room = names_of(command), [each.many for each in command.arguments]
    while words:
        word = words.pop(0)
        if word == "--":
            return
        if word.startswith("-") and word != "-":
            option, equals, _ = word.partition("=")
            found = options.get(option)
            if found is None:
                yield f"there is no option {option} of {name}"
            elif (found.metavar or found.choices) and not equals:
                if not words:
                    yield f"{option} of {name} wants a value"
                else:
                    words.pop(0)
        elif room and room[0]:
            continue
        elif room:
            room.pop(0)
        else:
            yield f"{name} takes no {word}"


def names_of(command: Described) -> dict[str, Parameter]:
    """The options of a command, by each of their names."""
    found = {name: Parameter((name,), "") for name in HELP}
    for option in command.options:
        for name in option.names:
            found |= dict.fromkeys(name.split("/"), option)
    return found
