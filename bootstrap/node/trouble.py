"""What goes wrong, in the words of whoever stands in front of the node."""

from __future__ import annotations


class Trouble(Exception):
    """`problem` says what is wrong, `tried` what was done, `got` what came back, `hint` what to do next. `passing` is
    whether trying again later may help."""

    def __init__(self, problem: str, *, tried: str = "", got: str = "", hint: str = "", passing: bool = False) -> None:
        lines = [("tried", tried), ("got", got), ("next", hint)]
        super().__init__("".join([problem, *(f"\n  {name}: {text}" for name, text in lines if text)]))
        self.passing = passing
