"""From whatever is on the line to a login prompt or a shell.

Keys are pressed from the harmless to the forceful, and after each of them a shell has to prove itself: by a marker that
the typed command does not contain. No prompt is believed, and nothing is pressed while a machine boots.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from bootstrap.transport.serial.errors import ConsoleFailed, console_failed
from bootstrap.transport.serial.shell.expect import Talk
from bootstrap.transport.serial.shell.prompts import (
    asks_for_password,
    asks_for_user,
    is_boot_loader,
    is_booting,
    is_loader_prompt,
    is_pager,
)
from bootstrap.transport.serial.text import ENOUGH_TO_JUDGE, is_garbage, plain_text

XON, CTRL_C, CTRL_D, CTRL_U, CTRL_X, CTRL_Z, QUIT_KEY, ESC = (
    b"\x11",
    b"\x03",
    b"\x04",
    b"\x15",
    b"\x18",
    b"\x1a",
    b"\x1c",
    b"\x1b",
)
LISTEN = 0.7
"""Seconds without a byte before the first key is pressed."""
LOADER_QUIET = 12.0
"""The same while a boot loader may count down to what a key would stop."""
BOOT_QUIET = 4.0
"""The same while a system starts."""
BUSY = 30.0
"""Seconds after which a line that never falls silent is typed at all the same."""
GARBAGE_SECONDS = 3.0
"""Seconds after which it is asked whether what comes is garbage."""
ANSWER_SECONDS = 5.0
"""Seconds for more than an empty line in answer to Enter: login(1) waits before it refuses an empty password."""
BETWEEN_PRESSES = 0.25
BETWEEN_ROUNDS = 3.0
PROOF = (6.0,)
GARBLED_ANSWERS = 3
CYCLES = 2


class There(StrEnum):
    """What was found on the line."""

    LOGIN = "login"
    SHELL = "shell"


@dataclass(frozen=True, slots=True)
class ShellPatience:
    """How long, in seconds: a line may be `silent`; all may take until there is a shell (`total`)."""

    silent: float = 120.0
    total: float = 600.0


# What is pressed, each time followed by Enter. The first ends a half-typed command, a stop by Ctrl-S and most programs;
# q a pager, the next ones vi and nano; Ctrl-Z what ignores Ctrl-C, Ctrl-D what reads commands but is not a shell.
ROUNDS: tuple[tuple[bytes, ...], ...] = (
    (XON + CTRL_C, CTRL_U),
    (b"q", CTRL_C + CTRL_U),
    (ESC, ESC, b":q!"),
    (CTRL_X, b"n", CTRL_C + CTRL_U),
    (CTRL_Z,),
    (QUIT_KEY,),
    (CTRL_D,),
)


def find_shell(talk: Talk, patience: ShellPatience) -> There:
    """Read and press keys until there is a login prompt or a shell. Raises ConsoleFailed, LineLost."""
    return _Search(talk, patience).run()


class _Search:
    def __init__(self, talk: Talk, patience: ShellPatience) -> None:
        self._talk = talk
        self._patience = patience
        self._end = time.monotonic() + patience.total
        self._round = 0
        self._cycle = 0
        self._unanswered = 0
        self._garbled = 0

    def run(self) -> There:
        self._talk.mark()
        while True:
            self._listen()
            if asks_for_user(self._talk.text):
                return There.LOGIN
            if (there := self._press()) is not None:
                return there
            self._stop_in_vain()

    def _listen(self) -> None:
        """Wait until it is time to press a key."""
        talk = self._talk
        begun = time.monotonic()
        while talk.silent_for < LISTEN and time.monotonic() < begun + BUSY and not is_garbage(talk.seen):
            talk.settle(LISTEN, GARBAGE_SECONDS)
        while (text := self._recent()) and is_booting(text) and time.monotonic() < min(self._end, begun + BUSY * 4):
            if asks_for_user(talk.text):
                return
            quiet = LOADER_QUIET if is_boot_loader(text) else BOOT_QUIET
            if talk.silent_for >= quiet:
                return
            talk.hear(min(1.0, quiet))

    def _press(self) -> There | None:
        talk = self._talk
        talk.mark()
        before = talk.count
        for keys in ROUNDS[self._round]:
            talk.send(keys)
            talk.settle(BETWEEN_PRESSES, 2.0)
        talk.enter("")
        text = talk.settle()
        if talk.count == before:
            self._no_answer()
            return None
        self._unanswered = 0
        if not text.strip():
            talk.wait_for(lambda text: bool(text.strip()), ANSWER_SECONDS)
            text = talk.settle()
        if asks_for_user(text):
            return There.LOGIN
        if is_garbage(talk.seen[-max(ENOUGH_TO_JUDGE, talk.count - before) :]):
            self._garbled += 1
            return None
        self._garbled = 0
        return self._answered(text)

    def _answered(self, text: str) -> There | None:
        """What it is that answered to a key."""
        talk = self._talk
        if asks_for_password(text):
            # Somebody's unfinished login, sudo or passwd: no password of ours is for it.
            talk.send(CTRL_D)
            return There.LOGIN if talk.wait_for(asks_for_user, 10.0) else None
        if is_pager(text):
            talk.send(b"q")
            talk.settle()
        if talk.prove(patience=PROOF) is not None:
            return There.SHELL
        if asks_for_user(talk.text):
            return There.LOGIN
        # What a machine that boots says is not an answer to what was pressed.
        if not is_booting(text):
            self._go_on()
        return None

    def _no_answer(self) -> None:
        self._unanswered += 1
        # No one may be there yet. What is there and echoes nothing gets the other keys as well, but no firmware does.
        if self._talk.count and self._unanswered >= 3 and not is_booting(self._recent()):
            self._go_on()
        self._talk.hear(min(BETWEEN_ROUNDS, max(0.0, self._patience.silent - self._talk.silent_for)))

    def _go_on(self) -> None:
        self._round += 1
        if self._round == len(ROUNDS):
            self._round = 0
            self._cycle += 1

    def _recent(self) -> str:
        return plain_text(self._talk.seen[-4000:].decode("utf-8", "replace"))

    def _stop_in_vain(self) -> None:
        talk, target = self._talk, self._talk.target
        if self._garbled >= GARBLED_ANSWERS:
            raise self._failed(
                "what comes over its console is garbage",
                got=f"{talk.count} bytes, most of them unprintable: {talk.seen[-24:].hex(' ')}",
                hint=f"the other side has another speed than {target.baud}, or another parity: correct console.baud"
                if target.carrier.has_speed
                else "set the speed and parity of the node's port on what carries the line",
            )
        if talk.silent_for >= self._patience.silent:
            speed = " that the speed is right (console.baud)," if target.carrier.has_speed else ""
            raise self._failed(
                f"nothing came over its console for {self._patience.silent:.0f} s",
                got=talk.last_words or "not one readable byte",
                hint=f"see that the machine is on, that the cable is in the right port,{speed} and that the system has "
                "a console there (kernel argument console=ttyS0,115200)",
            )
        if self._cycle >= CYCLES or time.monotonic() >= self._end:
            loader = is_loader_prompt(self._recent())
            raise self._failed(
                "a boot loader waits for commands on its console; no system was started"
                if loader
                else "no shell and no login prompt is to be had on its console",
                got=talk.last_words or "nothing readable",
                hint="boot it from there (clusterup console), then try again"
                if loader
                else "look at it: clusterup console; end what runs there, then try again",
            )

    def _failed(self, problem: str, got: str, hint: str) -> ConsoleFailed:
        target = self._talk.target
        return console_failed(target, problem, tried=f"a shell on {target.described}", got=got, hint=hint)
