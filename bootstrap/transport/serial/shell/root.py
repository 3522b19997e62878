"""A root shell on a console, made ready for commands, from whatever is on the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bootstrap.inventory.serial_target import CarrierKind, ConsoleTarget, Flow
from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.errors import STEP, ConsoleLoginFailed, console_failed
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.shell.expect import Marker, Talk
from bootstrap.transport.serial.shell.find import CTRL_C, ShellPatience, There, find_shell
from bootstrap.transport.serial.shell.login import ECHO_OFF, VERDICT_SECONDS, log_in
from bootstrap.transport.serial.shell.prompts import asks_for_password, asks_for_user
from bootstrap.transport.sudo import WHO, way_said

ANSWER_SECONDS = 30.0
LEAVING_SECONDS = 3.0
LEFT = 77
"""Exit status by which a shell of ours says that the one around it is to end as well."""
STRANGERS = 3
"""Shells of others that are left behind before we give up."""

# A subshell first: where an option or a name is unknown, POSIX drops the whole line.
_SETTINGS = (
    "unset HISTFILE PROMPT_COMMAND MAIL MAILPATH; (unset TMOUT) 2>/dev/null && unset TMOUT; "
    "for o in emacs vi; do (set +o $o) 2>/dev/null && set +o $o; done; "
    "(unsetopt zle) 2>/dev/null && unsetopt zle; TERM=dumb; export TERM; PS1='# '; PS2=''"
)
_FLOWS = {Flow.NONE: "", Flow.RTSCTS: " crtscts", Flow.XONXOFF: " ixon ixoff"}


@dataclass(frozen=True, slots=True)
class _Who:
    """Whose shell it is; `elsewhere`: it came over SSH, so that it may be another machine's."""

    uid: int
    user: str
    elsewhere: bool


def enter_root_shell(line: Line, target: ConsoleTarget, patience: ShellPatience | None = None) -> None:
    """Make the line lead to a POSIX shell of root that echoes nothing, edits no lines and keeps no history; its prompt
    is "# ".

    Raises ConsoleLoginFailed, ConsoleFailed, LineLost; BadUse when a password can't be had.
    """
    talk = Talk(line, target)
    for _ in range(STRANGERS):
        there = find_shell(talk, patience or ShellPatience())
        if there is There.LOGIN:
            log_in(talk)
        who = _take_over(talk, "exec " if there is There.LOGIN else "")
        if who.uid != 0 and not _is_stranger(who, talk):
            who = _become_root(talk, who)
        if who.uid == 0 and not _is_elsewhere(who, target):
            return
        # Somebody's open shell is left, so that we can log in as ourselves.
        _leave(talk)
        if not asks_for_user(talk.text):
            talk.mark()
            talk.enter(" exit")
            # Said once by shells that have stopped jobs.
            if "jobs" in talk.settle():
                talk.enter(" exit")
                talk.settle()
    raise console_failed(
        target,
        f"shells of others are open on its console, and none of them lets {target.user} become root",
        tried=f"leave them, and log in on {target.described}",
        got=talk.last_words,
        hint="log out there: clusterup console",
    )


def leave_root_shell(line: Line, target: ConsoleTarget) -> None:
    """Log out, so that no one finds a root shell on the console; what was open before us stays open. Never raises: the
    line may be gone."""
    try:
        _leave(Talk(line, target))
    except LineLost:
        return


def _leave(talk: Talk) -> None:
    talk.mark()
    talk.send(CTRL_C)
    talk.settle(0.2, 1.0)
    talk.enter(f"stty sane 2>/dev/null; stty rows 24 cols 80 2>/dev/null; exit {LEFT}")
    talk.wait_for(asks_for_user, LEAVING_SECONDS)


def _is_elsewhere(who: _Who, target: ConsoleTarget) -> bool:
    # A program may well reach the console through SSH.
    return who.elsewhere and target.carrier.kind not in (CarrierKind.COMMAND, CarrierKind.PIPE)


def _is_stranger(who: _Who, talk: Talk) -> bool:
    """Whether neither our password is that user's, nor a password is needed to become root."""
    return _is_elsewhere(who, talk.target) or (who.user != talk.target.user and _sudo_of(talk)[0] != "free")


def _take_over(talk: Talk, how: str) -> _Who:
    """Put a plain shell in the place of the one there, or (with `how` empty) inside it, and make it sane."""
    talk.enter(f" {how}env ENV= HISTFILE= sh")
    talk.settle()
    return _tame(talk)


def _tame(talk: Talk) -> _Who:
    talk.enter(f" stty sane -echo{_FLOWS[talk.target.flow]} 2>/dev/null; stty rows 50 cols 500 2>/dev/null")
    talk.settle()
    talk.enter(f" {_SETTINGS}")
    talk.settle()
    said = (talk.prove('$(id -u):$(id -un):"${SSH_CONNECTION:+ssh}"') or "").split(":")
    if len(said) != 3 or not said[0].isdecimal():
        raise console_failed(
            talk.target,
            "something on its console answers, but it is not a shell that can be used",
            tried="start sh there, and ask who we are",
            got=talk.last_words,
            hint="look at it: clusterup console; a POSIX shell with id and stty is needed",
        )
    return _Who(int(said[0]), said[1], said[2] == "ssh")


def _sudo_of(talk: Talk) -> tuple[str, str]:
    """root, free, asks or absent, and what sudo says where it asks: see `bootstrap.transport.sudo`."""
    script = WHO.strip().replace("\n", "; ")
    way, said = way_said(talk.prove(f"$({script})") or "")
    return way or "absent", said


def _become_root(talk: Talk, who: _Who) -> _Who:
    target = talk.target
    failed: list[str] = []
    sudo, sudos = _sudo_of(talk)
    if sudo == "free":
        talk.enter(f" sudo -n sh; [ $? = {LEFT} ] && exit {LEFT}")
        talk.settle()
        if (became := _tame(talk)).uid == 0:
            return became
        failed.append("sudo starts no shell")
    elif sudo == "asks" and target.password is not None:
        if (sudoed := _with_sudo(talk, target.password())) is not None:
            return sudoed
        failed.append(f"sudo does not accept {who.user}'s password, or does not let {who.user} become root")
    else:
        failed.append("there is no sudo" if sudo == "absent" else f"sudo says: {sudos or 'nothing'}")
    said = talk.last_words
    if target.root_password is not None:
        if (changed := _with_su(talk, target.root_password())) is not None:
            return changed
        failed.append("su does not accept root's password")
        said = talk.last_words
    raise ConsoleLoginFailed(
        f"{who.user} does not become root on its console: {'; '.join(failed)}",
        node=target.node,
        step=STEP,
        tried=f"become root as {who.user} on {target.described}",
        got=said,
        hint="log in as root (console.user), correct console.password_from or sudoers on the node, or name root's "
        "password (console.root_password_from)",
    )


def _with_sudo(talk: Talk, password: str) -> _Who | None:
    prompt = Marker.new()
    talk.mark()
    talk.enter(f" sudo -k -p {prompt.typed}: sh; [ $? = {LEFT} ] && exit {LEFT}")
    if not _answer(talk, lambda text: prompt.shown in text, password):
        return None
    became = _tame(talk)
    return became if became.uid == 0 else None


def _with_su(talk: Talk, password: str) -> _Who | None:
    talk.mark()
    talk.enter(f" su root; [ $? = {LEFT} ] && exit {LEFT}")
    if not _answer(talk, asks_for_password, password):
        return None
    # Root's own shell may be any.
    became = _take_over(talk, "exec ")
    return became if became.uid == 0 else None


def _answer(talk: Talk, prompted: Callable[[str], bool], password: str) -> bool:
    """Type the password at a prompt, once; False where there is no prompt, or it comes again."""
    if not talk.wait_for(prompted, ANSWER_SECONDS):
        return False
    talk.settle(ECHO_OFF, 5.0)
    talk.mark()
    talk.enter_secret(password)
    talk.wait_for(lambda text: bool(text.strip()), VERDICT_SECONDS)
    if not prompted(talk.settle()):
        return True
    talk.send(CTRL_C)
    talk.settle()
    return False
