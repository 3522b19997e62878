"""Tools trees: small Debian systems in folders, so that every host builds the same with the same tools.

A tree is made by mmdebstrap and entered with bubblewrap. Its mirror is the one the host's own apt uses;
on a host without apt, mmdebstrap's default.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.host.programs import require_programs
from bootstrap.image.cache import cached, content_key

Log = Callable[[str], None]
# Before what a tool says, so that its lines can be told from clusterup's own.
TOOL_SAYS = "  | "
UMASK = 0o022

MIRROR_FORMAT = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)"


@cache
def debian_mirror() -> str | None:
    """The mirror of the host's own apt for Debian's main archive, or None where apt names none."""
    if shutil.which("apt-get") is None:
        return None
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", MIRROR_FORMAT], capture_output=True, text=True, check=False
    )
    candidates = []
    for line in answer.stdout.splitlines():
        uri, release, component, created_by = line.split("|")
        if component == "main" and created_by == "Packages" and re.fullmatch(r"[a-z]+", release):
            candidates.append(uri.rstrip("/"))
    return next((uri for uri in candidates if uri.endswith("/debian")), candidates[0] if candidates else None)


def ensure_tree(
    name: str,
    suite: str,
    packages: Sequence[str],
    *,
    log: Log,
    components: Sequence[str] = ("deb",),
    options: Sequence[str] = (),
) -> Path:
    """A folder with a Debian `suite` and `packages`, made once and kept in the cache.

    `components` are the kinds of apt lines ("deb", "deb-src"), `options` more of mmdebstrap's (they change nothing of
    what is made). Raises ClusterupError with mmdebstrap's last
    lines when it fails.
    """

    def build(folder: Path) -> None:
        require_programs("mmdebstrap", "bwrap", step="image build")
        log(f"making the {name} tree ({suite}, {len(packages)} packages)")
        mirror = debian_mirror()
        lines = [f"{kind} {mirror} {suite} main" for kind in components] if mirror else []
        run(
            # The lists stay, because the version of a source package is read from them.
            [
                "mmdebstrap",
                "--quiet",
                "--variant=apt",
                "--skip=cleanup/apt/lists",
                *options,
                *([f"--include={','.join(packages)}"] if packages else []),
                suite,
                str(folder),
                *lines,
            ],
            what=f"making the {name} tree",
            log=log,
        )

    return cached(f"tree-{name}", tree_key(suite, packages, components), build)


def tree_key(suite: str, packages: Sequence[str], components: Sequence[str] = ("deb",)) -> str:
    """What a tree of these is called in the cache."""
    return content_key({"suite": suite, "packages": " ".join(sorted(packages)), "kinds": " ".join(components)})


def bwrap_argv(
    tree: Path,
    argv: Sequence[str],
    *,
    binds: Mapping[Path, str],
    environment: Mapping[str, str],
    folder: str = "/",
    options: Sequence[str] = ("--die-with-parent",),
) -> list[str]:
    """The argument vector that runs `argv` inside `tree`, with host folders bound at `binds`' targets.

    `options` are more options of bubblewrap; as they are, the program ends with the one that started it.
    """
    command = ["bwrap", "--bind", str(tree), "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"]
    command += ["--bind", "/sys", "/sys", "--tmpfs", "/run", "--tmpfs", "/tmp", *options]  # noqa: S108
    for resolver in ("/etc/resolv.conf", "/etc/hosts"):
        if Path(resolver).exists():
            command += ["--ro-bind", str(Path(resolver).resolve()), resolver]
    for source, target in binds.items():
        command += ["--bind", str(source), target]
    command += ["--clearenv", "--setenv", "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    command += ["--setenv", "LANG", "C.UTF-8"]
    for name, value in environment.items():
        command += ["--setenv", name, value]
    return [*command, "--chdir", folder, *argv]


def run_in(
    tree: Path,
    argv: Sequence[str],
    *,
    log: Log,
    binds: Mapping[Path, str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
    what: str | None = None,
) -> str:
    """Run a program inside a tree and return its standard output. Raises ClusterupError when it fails."""
    command = bwrap_argv(tree, argv, binds=binds or {}, environment=env or {}, folder=cwd)
    return run(command, what=what or " ".join(argv[:2]), log=log)


def run(argv: Sequence[str], *, what: str, log: Log) -> str:
    """Run a program on the host, its output logged line by line and returned. What it makes, others may read: trees
    and images are for whoever uses the machine that they become.

    Raises ClusterupError with the last lines when it ends with another status than 0.
    """
    lines: list[str] = []
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        umask=UMASK,
    ) as process:
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip("\n"))
                log(f"{TOOL_SAYS}{lines[-1]}")
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise ClusterupError(
            f"{what} failed",
            step="image build",
            tried=" ".join(argv[-4:]),
            got=f"exit status {process.returncode}: " + " | ".join(lines[-8:]),
            hint="run it again with -v for the whole output; what was built before is kept",
        )
    return "\n".join(lines)
