"""Whether this clusterup is whole: everything of it can be imported, and what it ships is there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import bootstrap
from bootstrap.host.build_info import build_info
from bootstrap.host.programs import PROGRAMS, found, how_to_install
from bootstrap.paths import templates_dir

# What it stands on, by the names that are imported.
LIBRARIES = (
    "backports.zstd",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "etcd3",
    "grpc",
    "httpx",
    "jinja2",
    "paramiko",
    "pydantic",
    "rich.live",
    "serial",
    "ssl",
    "typer",
    "yaml",
)
BUILT = "what it is made of"
# A program on nodes, which starts when it is imported.
STARTS = "__main__"


@dataclass(frozen=True, slots=True)
class Checked:
    """Something that has to be there. `found` says what is, `wrong` what is not; only one of them is not empty."""

    what: str
    found: str = ""
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """A program of this machine that some commands want. `path` is empty where it is not there; `install` is a command
    line that brings it, where one is known."""

    name: str
    purpose: str
    path: str
    install: str


def checks(*more: tuple[str, Callable[[], str]]) -> Iterator[Checked]:
    """Look at each part of clusterup, and at `more` of them: what it is, and what says what is there or raises. It
    changes nothing."""
    for what, look in (
        ("modules", _modules),
        ("libraries", _libraries),
        ("templates", _templates),
        ("the program for nodes", _node_program),
        (BUILT, _built),
        *more,
    ):
        yield _checked(what, look)


def programs() -> list[Looked]:
    """What of this machine's programs some commands want, and whether it is there."""
    looked = []
    for name, program in PROGRAMS.items():
        path = found(name) or ""
        install = () if path else how_to_install([name]) or ()
        looked.append(Looked(name, program.purpose, path, " ".join(install)))
    return looked


def _checked(what: str, look: Callable[[], str]) -> Checked:
    try:
        return Checked(what, found=look())
    # Whatever it is: a part that can't be used is what is looked for.
    except Exception as error:
        return Checked(what, wrong=f"{type(error).__name__}: {error}")


def _modules() -> str:
    names = [
        each.name
        for each in pkgutil.walk_packages(bootstrap.__path__, f"{bootstrap.__name__}.")
        if not each.name.endswith(STARTS)
    ]
    for name in names:
        importlib.import_module(name)
    return f"{len(names)} can be imported"


def _libraries() -> str:
    for name in LIBRARIES:
        importlib.import_module(name)
    return f"{len(LIBRARIES)} can be imported"


def _templates() -> str:
    files = [file for file in templates_dir().rglob("*") if file.is_file()]
    if not files:
        raise FileNotFoundError(f"there are none in {templates_dir()}")
    for file in files:
        file.read_bytes()
    return f"{len(files)} can be read"


def _node_program() -> str:
    from bootstrap.image.agent import agent_archive

    return f"{len(agent_archive())} bytes of it"


def _built() -> str:
    built = build_info()
    return "a package that Python found" if built is None else f"commit {built.commit}"
