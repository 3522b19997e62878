"""The units of a node: what runs, what it reads, and what it should run with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from bootstrap.constants.paths import APPLIED_FOLDER, UNIT_FOLDER
from bootstrap.machine.render import render
from bootstrap.protocol.files import NodeFile, digest_of


class Runs(Protocol):
    """What is started on a node: a unit's name, the digest of what it should run with, and the paths of the files that
    make that up, in their order."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def reads(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Unit:
    """A service: `argv` is what runs, `files` what it reads (a change in them restarts it).

    `kind` is systemd's Type=; `before_start` are command lines for ExecStartPre=; `settings` more lines of
    [Service]. `argv_from` are names of variables, set by the environment files in `settings`, whose words follow
    `argv`; `unwatched` are files whose change restarts nothing. `confined` are lines of [Service] that take rights from
    what runs: what is run before and after its start keeps root's. See systemd.service(5), systemd.exec(5).
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
    argv_from: tuple[str, ...] = ()
    unwatched: tuple[NodeFile, ...] = ()
    confined: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256, 64 hexadecimal digits, of what sha256sum(1) says of the unit's file and of all that it reads."""
        return _digest(self)

    @property
    def reads(self) -> tuple[str, ...]:
        """The paths of its own file and of what it reads."""
        return tuple(sorted((f"{UNIT_FOLDER}/{self.name}", *(file.path for file in self.files))))

    @property
    def file(self) -> NodeFile:
        """The unit's own file."""
        return _file(self)


# Asked for again and again, and of many nodes the same.
@cache
def _digest(unit: Unit) -> str:
    return digest_of((unit.file, *unit.files))


@cache
def _file(unit: Unit) -> NodeFile:
    content = render(
        "kubernetes/unit.service.j2",
        unit=unit,
        argv=[*(systemd_quoted(argument) for argument in unit.argv), *(f"${name}" for name in unit.argv_from)],
        read=unit.reads,
        applied=APPLIED_FOLDER,
    )
    return NodeFile(f"{UNIT_FOLDER}/{unit.name}", content)


def without_rights(*families: str) -> tuple[str, ...]:
    """Lines of [Service] for what serves others: it may talk through sockets of these address families, and has no
    rights on the machine. Source: systemd.exec(5), "Sandboxing"."""
    return (
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "NoNewPrivileges=yes",
        "PrivateDevices=yes",
        "PrivateTmp=yes",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHome=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
        "ProtectSystem=strict",
        f"RestrictAddressFamilies={' '.join(families)}",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
    )


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
        for file in (*unit.files, *unit.unwatched, unit.file):
            other = found.setdefault(file.path, file)
            if other != file:
                raise ValueError(f"two units want different contents of {file.path}")
    return tuple(found[path] for path in sorted(found))
