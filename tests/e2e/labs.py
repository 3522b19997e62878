"""The labs of the end-to-end tests, each made once: put aside, found again by the next run, and brought back for each
scenario, so that none of them waits for machines that boot, and none meets what another one left.

What is saved has a name of its shape and of a key over what a lab is made of. A cluster is brought back to be as the
inventory says: where clusterup has become one that would change something, it is made again.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bootstrap
from bootstrap.engine.lock import Patience, file_lock
from bootstrap.errors import Refused
from bootstrap.image.cache import content_key
from bootstrap.image.finding import find_bundle
from bootstrap.lab.machines import process
from bootstrap.lab.machines.machine import RECORD as PROCESS
from bootstrap.lab.saves.saved import saves_dir
from bootstrap.paths import cache_dir, private_folder
from tests.e2e.operator import Operator
from tests.helpers.daemons import wait_for

ROOT = Path(bootstrap.__file__).parents[1]
CONSOLE_SHOWN = 2000
# Where Kubernetes comes from: a folder with binaries, or Debian.
SOURCE = os.environ.get("CLUSTERUP_TEST_KUBERNETES", "debian")
# A test that waits for longer is ended (pyproject.toml). Seconds.
ANOTHER_RUN = 40 * 60
Grow = Callable[[Operator], None]
Serves = Callable[[Operator], bool]


def always(operator: Operator) -> bool:
    """Bare machines are as their lab is, which the name of what is saved says."""
    del operator
    return True


@dataclass(frozen=True)
class Shape:
    """What is there when a scenario begins. `lab` is the lab's name and `machines` are its options, `grows` makes it of
    `before`: a lab without that is of bare machines, which run the live environment. `serves` says whether what was
    made by an earlier clusterup is what this one would make."""

    name: str
    lab: str
    machines: tuple[str, ...]
    before: Shape | None = None
    grows: Grow | None = None
    serves: Serves = always

    @property
    def growth(self) -> tuple[Grow, ...]:
        """How it became what it is, from bare machines on."""
        earlier = () if self.before is None else self.before.growth
        return earlier if self.grows is None else (*earlier, self.grows)

    @property
    def lineage(self) -> str:
        """Its name after those of all that it grows out of, as in two-bare.installed."""
        return self.name if self.before is None else f"{self.before.lineage}.{self.name}"


@dataclass
class Labs:
    """The one lab that is there, of all that can be: `folder` is where its operator sits, `shape` what it was when it
    came, `owner` the module that has it. `for_others` is how many seconds went by for what scenarios find made, since
    somebody asked; `comes` while one is brought back or made."""

    place: Path
    folder: Callable[[str], Path]
    operator: Operator | None = None
    shape: Shape | None = None
    owner: str = ""
    spoilt: bool = False
    comes: bool = False
    for_others: float = 0.0
    proven: set[str] = field(default_factory=set)

    @property
    def state(self) -> Path:
        """Always the same: inventories name the keys of a lab by the whole path, and nodes keep their inventory."""
        return self.place / "state"

    def begins(self, shape: Shape, owner: str) -> Operator:
        """A lab of that shape, as it was put aside, for a module whose tests build on each other."""
        self.comes = True
        self.ends()
        self.operator = self._restored(shape)
        if self.operator is None:
            began = time.monotonic()
            self.operator = self._made(shape)
            self.for_others += time.monotonic() - began
        self.shape, self.owner, self.spoilt, self.comes = shape, owner, False, False
        return self.operator

    def shared(self, shape: Shape, owner: str) -> Operator:
        """As `begins`, or what the module's last test left, where nothing is wrong with that."""
        if self.operator is not None and not self.spoilt and (self.shape, self.owner) == (shape, owner):
            return self.operator
        return self.begins(shape, owner)

    def spent_for_others(self) -> float:
        """How many seconds scenarios waited for what others find made, since this was asked last."""
        spent, self.for_others = self.for_others, 0.0
        return spent

    def grows(self, shape: Shape) -> None:
        """Make the lab that is there one of that shape, and put it aside."""
        assert self.operator is not None
        self._grow(self.operator, shape)
        self.shape = shape

    def ends(self) -> None:
        """No machine is on any more. What a run left that was killed goes as well."""
        self.operator = None
        for state in (self.state, *self.place.glob("alone-*")):
            for record in state.glob(f"clusterup/labs/*/*/{PROCESS}"):
                # All of them, also one on the switch that is not the lab's own.
                process.end(record, signal.SIGKILL)
            for path in sorted((state / "clusterup" / "labs").glob("[!.]*")):
                self._down(Operator(self.place, state, path.name))
            # A cluster that knows machines beside the lab's is not forgotten with it.
            shutil.rmtree(state / "clusterup" / "clusters", ignore_errors=True)

    def _down(self, operator: Operator) -> None:
        """What a run left that was killed may still be at work, and be the reason for a refusal: without machines it
        ends by itself."""
        answers: list[subprocess.CompletedProcess[str]] = []

        def is_free() -> bool:
            answers.append(operator.runs("lab", "down", "--name", operator.name))
            return answers[-1].returncode != Refused.exit_code

        wait_for(is_free, f"the lab {operator.name} to be free", seconds=ANOTHER_RUN)
        assert answers[-1].returncode == 0, answers[-1].stderr

    def alone(self, name: str) -> Path:
        """The state folder of somebody whose lab of that name is like no other: a run that is killed does not leave its
        machines to no one."""
        return private_folder(self.place / f"alone-{name}")

    def forgets_what_no_one_asks_for(self, shapes: Collection[Shape]) -> None:
        """A test that was killed has not forgotten what it saved itself, and shapes were called otherwise once."""
        lineages = {shape.lineage for shape in shapes}
        for path in saves_dir().glob("e2e-*@*"):
            lineage, _, _ = path.name.partition("@")[0].removeprefix("e2e-").rpartition(".")
            if lineage not in lineages:
                self._forget(path.name)

    def _forget(self, *full_names: str) -> None:
        for name in full_names:
            Operator(self.place, self.state).clusterup("lab", "forget", name, "--yes")

    def _restored(self, shape: Shape) -> Operator | None:
        """The lab out of what is saved; None where nothing is, or what is does not serve any more."""
        name = saved_name(shape)
        operator = self.operator = Operator(self.folder(shape.name), self.state, shape.lab)
        if not _saved_as(name):
            return None
        back = operator.runs("lab", "restore", name, "--inventory", "lab.yaml", "--yes")
        # What this run has saved or restored comes back, or something is wrong with clusterup.
        assert back.returncode == 0 or name not in self.proven, back.stderr
        if back.returncode == 0 and (name in self.proven or shape.serves(operator)):
            self.proven.add(name)
            return operator
        warnings.warn(
            f"what is saved as {name} does not serve any more, and is made again: {back.stderr}", stacklevel=1
        )
        self.ends()
        self._forget(*_saved_as(name))
        return None

    def _made(self, shape: Shape) -> Operator:
        if shape.before is not None:
            operator = self._restored(shape.before) or self._made(shape.before)
        else:
            operator = self.operator = Operator(self.folder(shape.name), self.state, shape.lab)
            operator.clusterup("lab", "up", "--name", shape.lab, *shape.machines, "--inventory", "lab.yaml")
        self._grow(operator, shape)
        return operator

    def _grow(self, operator: Operator, shape: Shape) -> None:
        if shape.grows is not None:
            shape.grows(operator)
        # Those of clusterups before this one, and what grew out of another one's machines: it has other keys.
        self._forget(*(path.name for path in saves_dir().glob(f"e2e-{shape.lineage}.*@*")))
        operator.clusterup("lab", "save", saved_name(shape), "--name", shape.lab, "--keep", "100")
        self.proven.add(saved_name(shape))


@contextmanager
def labs_of(folder: Callable[[str], Path], shapes: Collection[Shape], say: Callable[[str], object]) -> Iterator[Labs]:
    """The labs of one run of the tests, of those `shapes`; another run waits, which it is told through `say`. `folder`
    makes an operator's."""
    place = private_folder(cache_dir() / "e2e")
    began = time.monotonic()
    with file_lock(place / "lock", "the end-to-end tests", Patience(ANOTHER_RUN, say)):
        labs = Labs(place, folder)
        before = os.environ.get("XDG_STATE_HOME")
        os.environ["XDG_STATE_HOME"] = str(labs.state)
        try:
            Operator(place, labs.state).clusterup("image", "build", "--source", SOURCE)
            labs.ends()
            labs.forgets_what_no_one_asks_for(shapes)
            labs.for_others = time.monotonic() - began
            yield labs
        finally:
            try:
                labs.ends()
            finally:
                os.environ.pop("XDG_STATE_HOME")
                if before is not None:
                    os.environ["XDG_STATE_HOME"] = before


def saved_name(shape: Shape) -> str:
    """What a lab of that shape is saved as: it is another one with another bundle, or where labs are made otherwise."""
    # What a lab's machines are, what stands in the inventory, and how it grows: other code makes no other lab.
    made_by = (
        *("inventory", "machines/memory", "machines/qemu", "plan", "saves/save", "saves/saved"),
        *("spec", "stick", "store", "up", "wishes"),
    )
    parts: dict[str, str | Path] = {
        "bundle": find_bundle(None).version,
        "machines": json.dumps([shape.lab, *shape.machines]),
        "grown": "".join(inspect.getsource(grows) for grows in shape.growth),
        **{name: ROOT / "bootstrap" / "lab" / f"{name}.py" for name in made_by},
    }
    return f"e2e-{shape.lineage}.{content_key(parts)}"


def consoles(operator: Operator) -> str:
    """The last lines of the consoles of the operator's machines."""
    logs = sorted(operator.state.glob("clusterup/labs/*/*/console.log"))
    return "".join(f"--- {log.parent.name}\n{log.read_text(errors='replace')[-CONSOLE_SHOWN:]}\n" for log in logs)


def _saved_as(name: str) -> list[str]:
    """The full names of what is saved under a name, also of what can't be read any more."""
    return [path.name for path in saves_dir().glob(f"{name}@*")]
