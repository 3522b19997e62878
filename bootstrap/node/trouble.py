"""What goes wrong, in the words of whoever stands in front of the node."""

from __future__ import annotations

from outside import below


class Trouble(Exception):
    """`problem` says what is wrong, `tried` what was done, `got` what came back, `hint` what to do next. `passing` is
    whether trying again later may help. The text of all of it is safe for a terminal."""

    def __init__(self, problem: str, *, tried: str = "", got: str = "", hint: str = "", passing: bool = False) -> None:
        parts = [("tried", tried), ("got", got), ("next", hint)]
        lines = [below("", problem), *(below(f"  {name}: ", text) for name, text in parts if text)]
        super().__init__("\n".join(lines))
        self.passing = passing
