"""The tree that the executable unpacks: lib (the loader and libraries of C, Python's own), bin (programs), tools (their
names on PATH), site (Python's libraries, and clusterup), licences, main.py."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from bootstrap.image.architecture import Architecture
from bootstrap.image.trees import Log
from scripts.executable.packages import Package, fetch_packages, needed_libraries
from scripts.executable.toolchain import FLAGS, Toolchain, toolchain_for
from scripts.executable.wheels import PYTHON, install_wheels, licence_of, licences_of

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = Path(__file__).with_name("launcher")
PACKAGES = (
    "base-files",
    f"python{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
    "fdisk",
    "libstdc++6",
    "libzstd-dev",
    "mtools",
    "openssh-client",
)
# Programs by the names that they are called by. Without them `apply` would need packages on the machine.
PROGRAMS = {"mcopy": "mtools", "mformat": "mtools", "sfdisk": "sfdisk", "ssh-keygen": "ssh-keygen"}
# Of the standard library: what nobody asks for here.
WITHOUT = shutil.ignore_patterns(
    "__pycache__", "_pyrepl", "curses", "dbm", "ensurepip", "idlelib", "lib2to3", "pydoc*", "sqlite3", "test",
    "tkinter", "turtle*", "venv", "_curses*.so", "_sqlite3*.so", "_dbm*.so", "_gdbm*.so", "_uuid*.so", "_test*.so",
    "_xx*.so", "xx*.so", "readline*.so",
)  # fmt: skip
LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
# What the C library converts names of files with that are on FAT (mtools): the table of all conversions, and that one.
CONVERSIONS = ("gconv-modules", "gconv-modules.d/gconv-modules-extra.conf", "IBM850.so")
ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Component:
    """Something that is in the executable. `kind` is that of its package URL ("deb", "pypi"). `licence` is an SPDX
    expression, or what its authors call it."""

    kind: str
    name: str
    version: str
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Making:
    """A tree that is being made at `tree`, with all of Debian's `packages` and a `toolchain`."""

    tree: Path
    architecture: Architecture
    packages: Mapping[str, Package]
    toolchain: Toolchain
    log: Log

    @property
    def libraries(self) -> dict[str, tuple[Path, Package]]:
        """The shared libraries of the packages by their names, and whose they are."""
        found = {}
        for package in self.packages.values():
            for file in package.folder.glob(f"usr/lib/{self.toolchain.triplet}/*.so*"):
                found[file.name] = (file, package)
        return found

    def file(self, *names: str) -> tuple[Path, Package]:
        """The first file of the packages that has one of these paths, and whose it is. Raises FileNotFoundError."""
        for name in names:
            for package in self.packages.values():
                if (package.folder / name).exists():
                    return package.folder / name, package
        raise FileNotFoundError(f"none of Debian's packages has {' or '.join(names)}")


def make_tree(tree: Path, architecture: Architecture, work: Path, log: Log) -> list[Component]:
    """Make the tree, and say what is in it. `work` is an empty folder. Raises ClusterupError, OSError,
    subprocess.CalledProcessError."""
    packages = {each.name: each for each in fetch_packages(PACKAGES, architecture.name, work / "debian", log)}
    making = Making(tree, architecture, packages, toolchain_for(architecture, log), log)
    libraries = install_wheels(architecture, tree / "site", log)
    shutil.rmtree(tree / "site/bin", ignore_errors=True)
    used = {"base-files", "libzstd-dev", *(each.name for each in copy_programs(making))}
    used |= {each.name for each in copy_libraries(making)}
    compile_launcher(making)
    copy_clusterup(tree / "site/bootstrap")
    shutil.copy2(LAUNCHER / "main.py", tree / "main.py")
    copy_licences(tree / "licences", [packages[name] for name in sorted(used)], libraries)
    found = [Component("deb", name, packages[name].version) for name in sorted(used - {"base-files"})]
    # The head has a C library in it that is not the tree's.
    head = making.toolchain
    found.append(Component("deb", head.library, head.library_version))
    (tree / "licences" / head.library).mkdir()
    shutil.copy2(head.tree / "usr/share/doc" / head.library / "copyright", tree / "licences" / head.library)
    return found + [Component("pypi", each.name, each.version, licence_of(each)) for each in libraries]


def copy_programs(making: Making) -> Iterator[Package]:
    """Python with its standard library, and the programs; yields whose they are."""
    for folder in ("bin", "lib"):
        (making.tree / folder).mkdir(parents=True)
    for name in (f"python{PYTHON}", *sorted(set(PROGRAMS.values()))):
        file, package = making.file(f"usr/bin/{name}", f"usr/sbin/{name}")
        shutil.copy2(file, making.tree / "bin" / name)
        yield package
    for name, program in PROGRAMS.items():
        if name != program:
            (making.tree / "bin" / name).symlink_to(program)
    for package in making.packages.values():
        library = package.folder / f"usr/lib/python{PYTHON}"
        if library.is_dir():
            shutil.copytree(
                library,
                making.tree / f"lib/python{PYTHON}",
                ignore=WITHOUT,
                ignore_dangling_symlinks=True,
                dirs_exist_ok=True,
            )
            yield package


def copy_libraries(making: Making) -> Iterator[Package]:
    """What the programs and modules need of the C libraries, and what these need; yields whose they are. Symbols that
    are for debuggers alone are left out of all. Raises FileNotFoundError where one is in no package."""
    known = making.libraries
    vendored = {file.name for file in (making.tree / "site").rglob("*.so*")}
    loader, package = known[LOADERS[making.architecture.name]]
    shutil.copy2(loader, making.tree / "lib/ld.so")
    yield package
    conversions = making.tree / "lib/gconv"
    for name in CONVERSIONS:
        (conversions / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(making.file(f"usr/lib/{making.toolchain.triplet}/gconv/{name}")[0], conversions / name)
    todo = [file for file in sorted(making.tree.rglob("*")) if _is_program(file)]
    while todo:
        making.toolchain.run("strip", ["--strip-unneeded", *map(str, todo)], making.tree, making.log)
        said = making.toolchain.run("readelf", ["--dynamic", *map(str, todo)], making.tree, lambda _: None)
        todo = []
        for name in sorted(set(needed_libraries(said)) - vendored):
            target = making.tree / "lib" / name
            if target.exists():
                continue
            if name not in known:
                raise FileNotFoundError(f"none of Debian's packages that are fetched has the library {name}")
            file, package = known[name]
            shutil.copy2(file.resolve(), target)
            todo.append(target)
            yield package


def _is_program(file: Path) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as handle:
        return handle.read(len(ELF)) == ELF


def compile_launcher(making: Making) -> None:
    """The head of the executable, beside the tree, and the one that starts its programs."""
    place = making.tree.parent
    shutil.copytree(LAUNCHER, place / "launcher")
    triplet = making.toolchain.triplet
    zstd = making.packages["libzstd-dev"].folder / "usr"
    where = [f"-I{zstd}/include", f"-L{zstd}/lib/{triplet}"]
    head = [*FLAGS, *where, "-o", str(place / "head"), str(place / "launcher/launcher.c"), "-lzstd"]
    making.toolchain.run("gcc", head, place, making.log)
    tools = making.tree / "tools"
    tools.mkdir()
    making.toolchain.run("gcc", [*FLAGS, "-o", str(tools / "tool"), str(place / "launcher/tool.c")], place, making.log)
    for name in PROGRAMS:
        (tools / name).symlink_to("tool")


def copy_clusterup(package: Path) -> None:
    """clusterup with its templates, as a wheel of it has them."""
    shutil.copytree(ROOT / "bootstrap", package, ignore=shutil.ignore_patterns("__pycache__", "_templates"))
    shutil.copytree(ROOT / "templates", package / "_templates")


def copy_licences(folder: Path, packages: Sequence[Package], libraries: Sequence[Distribution]) -> None:
    """A folder for each component with the words of its licence; those that Debian's files lead to are in
    `common-licenses`."""
    folder.mkdir()
    for package in packages:
        (folder / package.name).mkdir()
        if package.licence.is_file():
            shutil.copy2(package.licence, folder / package.name / "copyright")
    shutil.copytree(
        next(each for each in packages if each.name == "base-files").folder / "usr/share/common-licenses",
        folder / "common-licenses",
    )
    for library in libraries:
        (folder / library.name).mkdir(exist_ok=True)
        for file in licences_of(library):
            shutil.copy2(file, folder / library.name / file.name)
    (folder / "clusterup").mkdir()
    shutil.copy2(ROOT / "LICENSE", folder / "clusterup/LICENSE")
