"""The command line as data: it is what the commands are, and completion, lists and man pages come out of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap import __version__
from bootstrap.cli.described.all_commands import described_commands
from bootstrap.cli.described.complete import Completions, completions
from bootstrap.cli.described.describe import text_of
from bootstrap.cli.described.elsewhere import ELSEWHERE
from bootstrap.cli.described.names import KINDS, Typed
from bootstrap.cli.described.pages import help_page, man_pages
from bootstrap.cli.described.tree import FILE, Described, read_tree
from bootstrap.cli.main import options
from tests.helpers.typed import typed

TREE = read_tree()
NODES = [("server-1", "server"), ("server-2", "server"), ("agent-1", "agent")]


def every(described: Described, path: tuple[str, ...] = ()) -> dict[str, Described]:
    """All commands and groups by what is typed for them."""
    found = {" ".join(path): described}
    for name, each in described.commands.items():
        found |= every(each, (*path, name))
    return found


def complete(*words: str) -> list[str]:
    """What the last word may become, where nodes are those above."""
    return [value for value, _ in answered(*words).found]


def answered(*words: str) -> Completions:
    def names(kind: str, about: Typed) -> list[tuple[str, str]]:
        return NODES if kind == "node" else [(f"{kind} of {about.inventory} {about.lab}", "")]

    return completions(TREE, words[:-1], words[-1], names)


# What is described


def test_the_file_says_what_the_commands_are() -> None:
    assert FILE.read_text() == text_of(described_commands(options)), "run scripts/describe-commands"


def test_every_command_and_option_has_a_word_about_it() -> None:
    for name, each in every(TREE).items():
        assert each.short, name
        for parameter in each.parameters:
            assert parameter.help, (name, parameter.names)


def test_what_stands_for_a_value_is_a_word_for_people() -> None:
    """FILE, NODE, TIME; not <path> or list[str]."""
    shown = {parameter.metavar for each in every(TREE).values() for parameter in each.parameters}
    assert {word for word in shown if "<" in word or "[str" in word or "path" in word.lower()} == set()


def test_a_letter_means_the_same_in_every_command() -> None:
    meanings: dict[str, set[str]] = {}
    for each in every(TREE).values():
        for option in each.options:
            for letter in (name for name in option.names if not name.startswith("--")):
                meanings.setdefault(letter, set()).add(option.names[0])
    assert {letter: names for letter, names in meanings.items() if len(names) > 1} == {}
    assert meanings["-o"] == {"--output"}


def test_output_is_always_one_of_a_few_formats() -> None:
    for name, each in every(TREE).items():
        for option in each.options:
            assert ("--output" in option.names) == (set(option.choices) >= {"json"}), name


def test_kinds_are_known() -> None:
    kinds = {parameter.kind for each in every(TREE).values() for parameter in each.parameters}
    assert kinds - {"", "file", "folder"} <= set(KINDS)


# What may follow


def test_commands_are_completed() -> None:
    assert complete("a") == ["apply", "adopt"]
    assert complete("lab", "st") == ["status", "stop"]
    assert "plan" in complete("")


def test_options_are_completed_once_unless_they_may_stand_again() -> None:
    assert complete("apply", "--wip") == ["--wipe"]
    assert complete("apply", "--wipe", "agent-1", "--wip") == ["--wipe"]
    assert complete("apply", "--yes", "--ye") == []
    assert complete("apply", "-y", "--ye") == []
    assert "-y" in complete("apply", "-")
    assert complete("apply", "--h") == ["--help"]


def test_nodes_are_completed_where_one_is_meant() -> None:
    assert complete("console", "s") == ["server-1", "server-2"]
    assert complete("remove", "") == ["server-1", "server-2", "agent-1"]
    assert complete("apply", "--wipe", "") == ["server-1", "server-2", "agent-1"]
    assert complete("apply", "--wipe", "server-1", "--wipe", "s") == ["server-2"]
    assert complete("apply", "--wipe=s") == ["--wipe=server-1", "--wipe=server-2"]


def test_bash_parts_a_word_at_its_equals_sign() -> None:
    assert complete("apply", "--wipe", "=", "s") == ["server-1", "server-2"]
    assert complete("apply", "--wipe", "=") == ["server-1", "server-2", "agent-1"]


def test_values_of_which_there_are_a_few_are_completed() -> None:
    assert complete("status", "-o", "") == ["text", "json"]
    assert complete("plan", "--output=y") == ["--output=yaml"]


def test_files_are_left_to_the_shell() -> None:
    assert answered("apply", "inv") == Completions(files=True)
    assert answered("apply", "--kubeconfig", "") == Completions(files=True)
    assert answered("validate", "one.yaml", "tw") == Completions(files=True)
    assert not answered("console", "nobody").files
    assert not answered("token", "create", "--uses", "").files


def test_what_has_been_typed_says_whose_names_are_meant() -> None:
    assert complete("lab", "console", "--name", "big", "") == ["machine of inventory.yaml big"]
    assert complete("events", "other.yaml", "--run", "") == ["run of other.yaml lab"]
    assert complete("token", "revoke", "--inventory", "other.yaml", "") == ["token of other.yaml lab"]


@pytest.mark.parametrize(
    "words",
    [("nothing", ""), ("apply", "a", "b", "c", ""), ("--", "x"), ("schema", ""), ("", "")],
)
def test_what_makes_no_sense_has_no_completions(words: tuple[str, ...]) -> None:
    assert complete(*words) == []


# Pages


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_the_list_of_commands_fits(columns: int) -> None:
    page = help_page(TREE, columns)
    assert all(f"  {name}" in page for name in TREE.commands)
    if columns >= 60:
        assert max(map(len, page.splitlines())) <= min(columns, 80)


def test_both_ways_to_the_list_print_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    quick = subprocess.run(
        [sys.executable, "-c", "from bootstrap.cli.start import start; start()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert quick.stdout == help_page(TREE, 80) == typed("--help").stdout


def test_there_is_a_man_page_of_every_command(tmp_path: Path) -> None:
    pages = dict(man_pages(TREE, __version__))
    assert set(pages) == {"-".join(["clusterup", *name.split()]) + ".1" for name in every(TREE)}
    for name, text in pages.items():
        assert f".TH {name.removesuffix('.1').upper()} 1" in text
        assert ".SH NAME" in text
        assert not [line for line in text.splitlines() if line.startswith("'")]
    said = typed("man", str(tmp_path / "man1"))
    assert said.exit_code == 0
    assert {path.name for path in (tmp_path / "man1").iterdir()} == set(pages)


def test_a_man_page_has_every_option() -> None:
    pages = dict(man_pages(TREE, __version__))
    for option in TREE.commands["apply"].options:
        assert option.names[0].replace("-", "\\-") in pages["clusterup-apply.1"]


# Other tools' commands


def test_what_other_tools_call_a_command_is_known_here() -> None:
    for word, here in (("help", "--help"), ("upgrade", "apply"), ("log", "events"), ("destroy", "clusterup down")):
        said = typed(word)
        assert said.exit_code == 2
        assert here in said.output
    assert "clusterup lab down" in typed("lab", "destroy").output
    assert "clusterup token revoke" in typed("token", "delete").output
    assert "Did you mean 'apply'?" in typed("aply").output


def test_no_command_that_there_is_is_said_to_be_elsewhere() -> None:
    for group, names in ELSEWHERE.items():
        assert set(names).isdisjoint(every(TREE)[group].commands)


def test_the_version() -> None:
    assert typed("--version").stdout == f"clusterup {__version__}\n"
