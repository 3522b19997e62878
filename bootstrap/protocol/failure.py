"""What goes wrong between a machine and a cluster, before either side puts it into its own words."""

from __future__ import annotations

from enum import Enum

from bootstrap.outside import below


class Kind(Enum):
    """Whether what was typed is wrong (BAD_USE), the cluster says no or must not be believed (REFUSED), or it did not
    work (FAILED)."""

    BAD_USE = "bad use"
    REFUSED = "refused"
    FAILED = "failed"


class Failure(Exception):
    """`problem` says what is wrong, `tried` what was done, `got` what came back, `hint` what to do next. `passing` is
    whether trying again later may help. As text it is all of that in lines, safe for a terminal."""

    def __init__(
        self,
        problem: str,
        *,
        kind: Kind = Kind.FAILED,
        tried: str = "",
        got: str = "",
        hint: str = "",
        passing: bool = False,
    ) -> None:
        parts = [("tried", tried), ("got", got), ("next", hint)]
        lines = [below("", problem), *(below(f"  {name}: ", text) for name, text in parts if text)]
        super().__init__("\n".join(lines))
        self.problem = problem
        self.kind = kind
        self.tried = tried
        self.got = got
        self.hint = hint
        self.passing = passing
