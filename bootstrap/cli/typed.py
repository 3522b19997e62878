"""The command as a person typed it, for the journal and for whoever waits for it; what may be a secret is hidden."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

HIDDEN = "***"
_SECRET_OPTION = re.compile(r"--[a-z-]*(token|pass|secret|credential)[a-z-]*", re.IGNORECASE)
# A kubeadm bootstrap token, and the part of a URL that holds a password.
_SECRET_VALUE = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b|(?<=://)[^/@\s]*:[^/@\s]*(?=@)")


def typed(arguments: Sequence[str]) -> str:
    """The command as a person typed it; what may be a secret is hidden."""
    shown = ["clusterup"]
    hide = False
    for argument in arguments:
        option, equals, _ = argument.partition("=")
        secret = _SECRET_OPTION.fullmatch(option) is not None
        if hide and not argument.startswith("-"):
            shown.append(HIDDEN)
        elif secret and equals:
            shown.append(f"{option}={HIDDEN}")
        else:
            shown.append(_SECRET_VALUE.sub(HIDDEN, argument))
        hide = secret and not equals
    # File names need not be UTF-8; what is written down is.
    return shlex.join(shown).encode("utf-8", "backslashreplace").decode()
