"""Logging in on a console: user and password, each typed once."""

from __future__ import annotations

from bootstrap.transport.serial.errors import STEP, ConsoleLoginFailed
from bootstrap.transport.serial.shell.expect import Talk
from bootstrap.transport.serial.shell.find import CTRL_D, CTRL_U
from bootstrap.transport.serial.shell.prompts import (
    asks_for_password,
    asks_for_user,
    says_locked,
    says_refused,
    wants_new_password,
)

PROMPT_SECONDS = 60.0
"""Seconds until a password is asked for: a machine that has just started is slow."""
VERDICT_SECONDS = 15.0
"""Seconds in which a refusal or a greeting has begun; login(1) waits some on purpose before it refuses."""
NOTHING_ASKED = 6.0
ECHO_OFF = 0.3
"""Seconds of silence after a prompt, in which whoever prompts turns the echo off."""
PROOFS = (8.0, 15.0, 30.0)


def log_in(talk: Talk) -> None:
    """Log in at the login prompt that is on the line, so that a shell is there. Raises ConsoleLoginFailed, LineLost."""
    target = talk.target
    # It may have to be asked for, and login(1) waits for a password no longer than a minute.
    password = target.password() if target.password else None
    _name_the_user(talk)
    if asks_for_password(talk.text):
        if password is None:
            talk.send(CTRL_D)
            raise _refused(
                talk,
                f"its console asks {target.user} for a password and none is configured",
                hint="say where it is: console.password_from",
            )
        talk.settle(ECHO_OFF, 5.0)
        talk.mark()
        talk.enter_secret(password)
        _await_verdict(talk)
    for seconds in PROOFS:
        if talk.prove(patience=(seconds,)) is not None:
            return
        if asks_for_user(talk.text):
            raise _not_let_in(talk)
    raise _refused(
        talk,
        f"{target.user} was let in over its console, but no shell came",
        hint="look at it: clusterup console; what does the login of that user start?",
    )


def _name_the_user(talk: Talk) -> None:
    """Type the user's name, once more where line noise spoilt it."""
    for _ in range(2):
        talk.send(CTRL_U)
        talk.settle(ECHO_OFF, 2.0)
        talk.mark()
        talk.enter(talk.target.user)

        def answered(text: str) -> bool:
            return asks_for_password(text) or (text.count("\n") > 0 and talk.silent_for > NOTHING_ASKED)

        talk.wait_for(answered, PROMPT_SECONDS)
        if asks_for_password(talk.text) or not asks_for_user(talk.text):
            return
    raise _not_let_in(talk)


def _await_verdict(talk: Talk) -> None:
    """Wait until it is clear enough whether the password was taken; raises ConsoleLoginFailed when it wasn't."""
    talk.wait_for(lambda text: bool(text.strip()), VERDICT_SECONDS)
    text = talk.settle()
    if says_refused(text):
        talk.wait_for(asks_for_user, VERDICT_SECONDS)
        text = talk.text
    if asks_for_user(text):
        raise _not_let_in(talk)
    if asks_for_password(text):
        talk.send(CTRL_D)
        raise _not_let_in(talk)


def _not_let_in(talk: Talk) -> ConsoleLoginFailed:
    """What was said tells why, where anything does."""
    text, user = talk.text, talk.target.user
    if says_locked(text):
        return _refused(
            talk,
            f"its console does not let {user} in: the account is locked or expired",
            hint=f"unlock {user} on the node (passwd -u, chage, faillock --reset), or name another one (console.user)",
        )
    if wants_new_password(text):
        return _refused(
            talk,
            f"{user} has to choose a new password on its console first",
            hint="do that with clusterup console, then correct console.password_from",
        )
    return _refused(
        talk,
        f"its console does not let {user} in with that password",
        hint=f"correct console.user and console.password_from; if both are right, {user} is locked. It was tried once, "
        "because accounts get locked",
    )


def _refused(talk: Talk, problem: str, hint: str) -> ConsoleLoginFailed:
    target = talk.target
    return ConsoleLoginFailed(
        problem,
        node=target.node,
        step=STEP,
        tried=f"log in as {target.user} on {target.described}",
        got=talk.last_words or "nothing readable",
        hint=hint,
    )
