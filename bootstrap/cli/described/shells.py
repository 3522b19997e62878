"""Completion in bash, zsh and fish: the scripts that a shell reads, and the answers that they ask for at each key.

A script asks by running the command with _CLUSTERUP_COMPLETE=SHELL and the words up to the cursor, a line each, in
_CLUSTERUP_WORDS. It gets a line for each completion, in zsh and fish with a tab and a word about it; exit code 1 says
that no file may stand there. Older scripts, which Typer made, are answered as they expect it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from bootstrap.cli.described import ASKED
from bootstrap.cli.described.complete import Completions, completions
from bootstrap.cli.described.tree import read_tree
from bootstrap.errors import BadUse
from bootstrap.outside import on_one_line

WORDS = "_CLUSTERUP_WORDS"
SHOW = "--show-completion"
NO_FILES = 1


class Shell(StrEnum):
    """Those that complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


SCRIPTS = {
    Shell.BASH: """\
# Completion of clusterup in bash (4.4 or newer).
_clusterup() {
    local IFS=$'\\n' answer files=yes
    answer=$(_CLUSTERUP_COMPLETE=bash _CLUSTERUP_WORDS="${COMP_WORDS[*]:1:COMP_CWORD}" "$1" 2>/dev/null) || files=
    COMPREPLY=()
    [ -z "$answer" ] || mapfile -t COMPREPLY <<<"$answer"
    [ -n "$files" ] || compopt +o default
}
complete -o default -F _clusterup clusterup
""",
    Shell.ZSH: """\
#compdef clusterup
# Completion of clusterup in zsh.
_clusterup() {
    local answer line files=yes tab=$'\\t' typed="${(pj:\\n:)${(@Q)words[2,$CURRENT]}}"
    local -a found
    answer=$(_CLUSTERUP_COMPLETE=zsh _CLUSTERUP_WORDS="$typed" "${words[1]}" 2>/dev/null) || files=
    for line in "${(@f)answer}"; do
        [[ -n $line ]] && found+=("${${line%%$tab*}//:/\\\\:}:${line#*$tab}")
    done
    if (( $#found )); then
        _describe -V clusterup found
    elif [[ -n $files ]]; then
        _files
    fi
}
if [[ ${funcstack[1]} = _clusterup ]]; then
    _clusterup "$@"
else
    compdef _clusterup clusterup
fi
""",
    Shell.FISH: """\
# Completion of clusterup in fish.
function __clusterup_complete
    set -l typed (commandline -opc)
    set -l words (string join \\n -- $typed[2..] | string collect)
    set -l word (commandline -ct)
    set -l answer (env _CLUSTERUP_COMPLETE=fish _CLUSTERUP_WORDS="$words"\\n"$word" $typed[1] 2>/dev/null)
    set -l code $status
    if test -n "$answer"
        printf '%s\\n' $answer
    else if test $code -eq 0
        __fish_complete_path (commandline -ct)
    end
end
complete --command clusterup --no-files --arguments '(__clusterup_complete)'
""",
}


def answer(environment: Mapping[str, str]) -> tuple[str, int] | None:
    """What to print, and the exit code, where a shell asks; None where none does."""
    asked = environment.get(ASKED)
    if asked is None:
        return None
    shell = asked.removeprefix("complete_")
    if shell not in set(Shell):
        return "", NO_FILES
    if asked != shell:
        return _answer_to_typer(Shell(shell), environment), 0
    *words, word = environment.get(WORDS, "").split("\n")
    found = completions(read_tree(), [_unquoted(each) for each in words if each], _unquoted(word))
    return "".join(f"{line}\n" for line in _lines(Shell(shell), found)), 0 if found.files else NO_FILES


def _lines(shell: Shell, found: Completions) -> list[str]:
    if shell is Shell.BASH:
        return [value for value, _ in found.found]
    return [f"{value}\t{on_one_line(about) or value}" for value, about in found.found]


def _answer_to_typer(shell: Shell, environment: Mapping[str, str]) -> str:
    if shell is Shell.BASH:
        every = _split(environment.get("COMP_WORDS", ""))
        at = environment.get("COMP_CWORD", "")
        number = int(at) if at.isdecimal() else len(every)
        words, word = every[1:number], (every[number : number + 1] or [""])[0]
    else:
        text = environment.get("_TYPER_COMPLETE_ARGS", "")
        *words, word = [*_split(text)[1:], *([""] if text.endswith(" ") or len(_split(text)) < 2 else [])]
    found = completions(read_tree(), words, word)
    if shell is Shell.ZSH:
        each = " ".join(f'"{value}":"{_for_eval(about)}"' for value, about in found.found)
        return f"_arguments '*: :(({each}))'" if each else "_files"
    lines = [value for value, _ in found.found] if shell is Shell.BASH else _lines(shell, found)
    return "".join(f"{line}\n" for line in lines)


def _for_eval(about: str) -> str:
    return "".join(each for each in on_one_line(about) if each.isalnum() or each in " .,;-()/")


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        # A quote is still open.
        return text.split()


def _unquoted(word: str) -> str:
    try:
        return "".join(shlex.split(word)) if word.strip() else ""
    except ValueError:
        return word.lstrip("'\"")


def shell_named(name: str | None) -> Shell:
    """The shell of that name, or the one that the person works in. Raises BadUse for one that has no completion."""
    found = name or Path(os.environ.get("SHELL", "")).name
    if found in set(Shell):
        return Shell(found)
    raise BadUse(
        f"there is no completion for {found}" if found else "it is not known which shell you work in",
        step="completion",
        tried="$SHELL" if name is None else None,
        hint=f"name one: clusterup {SHOW} {'|'.join(Shell)}",
    )


def install(shell: Shell) -> list[str]:
    """Write the script where the shell looks for it, and return what to tell the person. Raises BadUse where it can't
    be written."""
    place, next_steps = _place(shell)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(SCRIPTS[shell])
    except OSError as error:
        raise BadUse(
            f"{place} can't be written",
            step="completion",
            got=error.strerror or str(error),
            hint=f"write it elsewhere: clusterup {SHOW} {shell} >FILE",
        ) from None
    return [f"wrote {place}", *next_steps]


def _place(shell: Shell) -> tuple[Path, list[str]]:
    if shell is Shell.BASH:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        sources = f"source <(clusterup {SHOW} bash)"
        return data / "bash-completion" / "completions" / "clusterup", [
            "a new shell has it, where the package bash-completion is installed;",
            f"where it is not, add to ~/.bashrc: {sources}",
        ]
    if shell is Shell.ZSH:
        return Path.home() / ".zfunc" / "_clusterup", [
            "where ~/.zshrc does not say so yet, add to it:",
            "  fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit",
        ]
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return configuration / "fish" / "completions" / "clusterup.fish", ["a new shell has it"]
