"""What `scripts/build-executable` runs: see there."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from bootstrap import __version__
from bootstrap.errors import ClusterupError
from bootstrap.image.architecture import AMD64, Architecture, architecture_named, own_architecture
from scripts.executable.pack import compile_python, write_executable
from scripts.executable.packages import TOGETHER, fetch_packages
from scripts.executable.sbom import sbom
from scripts.executable.toolchain import toolchain_for
from scripts.executable.tree import PACKAGES, ROOT, Component, make_tree
from scripts.executable.wheels import PYTHON, REQUIREMENTS, newest_requirements

NAMESPACE = "clusterup-executable"


def main() -> int:
    """Build; 0 when all files are written."""
    parser = argparse.ArgumentParser(
        prog="scripts/build-executable", description="Make clusterup as one file that runs without Python."
    )
    parser.add_argument("--arch", default=AMD64.name, help="amd64 or arm64")
    parser.add_argument("--output", type=Path, default=Path("dist"), help="the folder that gets the files")
    parser.add_argument("--key", type=Path, help="an SSH key that signs the file")
    parser.add_argument(
        "--update", action="store_true", help="take the newest libraries into requirements.txt, build nothing"
    )
    options = parser.parse_args()
    try:
        if options.update:
            wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
            REQUIREMENTS.write_text(newest_requirements(wanted, _say))
            return 0
        made = build(architecture_named(options.arch), options.output.absolute())
        if options.key is not None:
            sign(made, options.key)
    except ClusterupError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{' '.join(map(str, error.cmd[:3]))} ended with {error.returncode}\n")
        return 1
    print(made)
    return 0


def build(architecture: Architecture, output: Path) -> Path:
    """Make the executable, FILE.sha256 and FILE.cdx.json; returns its path. Raises ClusterupError, OSError,
    subprocess.CalledProcessError."""
    own = own_architecture()
    if own is None:
        raise ClusterupError(
            "executables are made on amd64 and arm64", step="build-executable", hint="build it on such a machine"
        )
    output.mkdir(parents=True, exist_ok=True)
    target = output / f"clusterup-{__version__}-linux-{architecture.name}"
    with tempfile.TemporaryDirectory(prefix="clusterup-executable-") as folder:
        work = Path(folder)
        tree = work / "tree"
        _say(f"making the tree for {architecture.name}")
        components = make_tree(tree, architecture, work / "parts", _say)
        (tree / "site/bootstrap/build.json").write_text(build_info(architecture, components))
        _say("compiling")
        root = work / "parts/debian" / TOGETHER
        if own != architecture:
            fetch_packages(PACKAGES, own.name, work / "own", _say)
            root = work / "own" / TOGETHER
        compile_python(tree, root, own)
        _say("packing")
        # One that is there is of another file.
        target.with_name(f"{target.name}.sig").unlink(missing_ok=True)
        write_executable(tree, work / "head", toolchain_for(architecture, _say), target)
    with target.open("rb") as handle:
        sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
    target.with_name(f"{target.name}.sha256").write_text(f"{sha256}  {target.name}\n")
    bill = sbom(__version__, commit(), architecture.name, sha256, components)
    target.with_name(f"{target.name}.cdx.json").write_text(json.dumps(bill, indent=1) + "\n")
    return target


def build_info(architecture: Architecture, components: list[Component]) -> str:
    """What the executable says of itself, as bootstrap.host.build_info reads it."""
    versions = {"python": next(each.version for each in components if each.name == f"python{PYTHON}-minimal")}
    versions |= {each.name: each.version for each in components if each.kind == "pypi"}
    return json.dumps({"commit": commit(), "architecture": architecture.name, "components": versions}, indent=1) + "\n"


def commit() -> str:
    """The commit that is checked out; with "+changes" where files of it were changed."""
    told = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"


def sign(file: Path, key: Path) -> None:
    """Write FILE.sig. Raises ClusterupError."""
    done = subprocess.run(["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file)], check=False)
    if done.returncode:
        raise ClusterupError(
            "the executable was not signed",
            step="build-executable",
            tried=f"ssh-keygen -Y sign -f {key}",
            hint="name a private key, or a .pub file whose private half your agent has",
        )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
