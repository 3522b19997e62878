"""Files and units of a node: what they hold, and how a unit knows that it runs with what is on the disk.

A unit file carries a digest over everything the unit reads. When it has started, it leaves that digest under
/run/clusterup/applied: a unit has to be restarted exactly when the two differ, however often files were written
and whatever was interrupted in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bootstrap.steps.render import render

UNIT_FOLDER = "/etc/systemd/system"
APPLIED_FOLDER = "/run/clusterup/applied"


@dataclass(frozen=True, slots=True)
class NodeFile:
    """A file on a node: absolute `path`, `mode` as in chmod, owned by root. Its content is never shown."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Unit:
    """A service: `argv` is what runs, `files` what it reads (a change in them restarts it).

    `kind` is systemd's Type=; `before_start` are command lines for ExecStartPre=; `settings` more lines of
    [Service]. See systemd.service(5).
    """

    name: str
    description: str
    argv: tuple[str, ...]
    files: tuple[NodeFile, ...] = ()
    after: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    kind: str = "exec"
    before_start: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256, 64 hexadecimal digits, over the unit's text and everything that it reads."""
        whole = hashlib.sha256(self._text("").encode())
        for file in sorted(self.files, key=lambda file: file.path):
            whole.update(f"\0{file.path}\0{file.mode:o}\0{file.sha256}".encode())
        return whole.hexdigest()

    @property
    def file(self) -> NodeFile:
        """The unit's own file."""
        return NodeFile(f"{UNIT_FOLDER}/{self.name}", self._text(self.digest).encode())

    def _text(self, digest: str) -> str:
        return render(
            "kubernetes/unit.service.j2",
            unit=self,
            argv=[systemd_quoted(argument) for argument in self.argv],
            digest=digest,
            applied=APPLIED_FOLDER,
        ).decode()


def flags(given: Mapping[str, str], more: Mapping[str, str]) -> tuple[str, ...]:
    """Command line flags `--name=value` in a stable order; `more` (the user's own) win over `given`."""
    return tuple(f"--{name}={value}" for name, value in sorted({**given, **more}.items()))


def systemd_quoted(argument: str) -> str:
    """An argument as it has to stand in ExecStart=: specifiers, variables and quotes made harmless.

    Source: systemd.service(5), "Command lines".
    """
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped == "" or set(escaped) & set(" \t;'\"#") else escaped


def all_files(units: Sequence[Unit]) -> tuple[NodeFile, ...]:
    """Every file that the units need, themselves included, each once, in the order of their paths."""
    found: dict[str, NodeFile] = {}
    for unit in units:
        for file in (*unit.files, unit.file):
            other = found.setdefault(file.path, file)
            if other != file:
                raise ValueError(f"two units want different contents of {file.path}")
    return tuple(found[path] for path in sorted(found))
