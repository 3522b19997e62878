"""What can go wrong, said the way a person can act on it.

Every failure that reaches a user names, in this order: the node, the step, what was tried, what came
back, and what to do next. Exit codes are those of docs/apply.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.outside import below


class ClusterupError(Exception):
    """A failure with everything a person needs to act on it.

    `problem` is one sentence. `node` and `step` say where, `tried` what was attempted, `got` what came
    back (the last lines of an output, an error of the system), `hint` what to do next.
    All of them may hold text from outside: `str` makes it safe for a terminal, the parts are as they came.
    """

    exit_code = 1
    final = False
    """Whether the same question would get the same answer for ever: who waits for another one gives up."""

    def __init__(
        self,
        problem: str,
        *,
        hint: str,
        node: str | None = None,
        step: str | None = None,
        tried: str | None = None,
        got: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.node = node
        self.step = step
        self.tried = tried
        self.got = got

    def __str__(self) -> str:
        where = ": ".join(str(part) for part in (self.node, self.step) if part)
        lines = [below("", f"{where}: {self.problem}" if where else str(self.problem))]
        parts = (("tried", self.tried), ("got", self.got), ("next", self.hint))
        return "\n".join([*lines, *(below(f"  {name}: ", str(text)) for name, text in parts if text)])


class BadUse(ClusterupError):
    """The command line or the inventory is wrong; nothing was attempted."""

    exit_code = 2


class PartlyDone(ClusterupError):
    """Some nodes are done, others failed or were not reached."""

    exit_code = 3


class Refused(ClusterupError):
    """Doing it would erase a used disk, break quorum, or act on something that is not ours."""

    exit_code = 4


class Interrupted(ClusterupError):
    """The person pressed Ctrl-C."""

    exit_code = 130
    final = True


class ErrorGroup(ClusterupError):
    """Several failures that were found together and are reported together."""

    def __init__(self, errors: Sequence[ClusterupError]) -> None:
        first = errors[0]
        super().__init__(f"{len(errors)} problems", hint=first.hint)
        self.errors = tuple(errors)
        self.exit_code = max(error.exit_code for error in errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)
