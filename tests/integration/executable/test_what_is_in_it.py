"""What the executable says that is in it: its bill of materials, its licences, its digest, its signature."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

from packaging.requirements import Requirement

from bootstrap import __version__
from scripts.build_executable import NAMESPACE, sign
from scripts.executable.tree import ROOT
from scripts.executable.wheels import REQUIREMENTS, normal
from tests.integration.executable.conftest import Bare


def pinned() -> dict[str, str]:
    """The releases of requirements.txt by their names."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE))


def test_the_bill_of_materials_is_of_this_file(executable: Path) -> None:
    bill = json.loads(executable.with_name(f"{executable.name}.cdx.json").read_text())
    about = bill["metadata"]["component"]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert (about["name"], about["version"]) == ("clusterup", __version__)
    assert about["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(executable.read_bytes()).hexdigest()}]


def test_the_bill_of_materials_names_each_library_in_its_release(executable: Path) -> None:
    bill = json.loads(executable.with_name(f"{executable.name}.cdx.json").read_text())
    named = {
        normal(each["name"]) if "pypi" in each["purl"] else each["name"]: each["version"] for each in bill["components"]
    }
    assert pinned().items() <= named.items()
    assert {"libc6", "libssl3t64", "mtools", "openssh-client", "python3.13-minimal"} <= named.keys()
    assert len({each["purl"] for each in bill["components"]}) == len(bill["components"])


def test_the_digest_beside_it_is_its_own(executable: Path) -> None:
    check = ["sha256sum", "--check", "--status", f"{executable.name}.sha256"]
    assert subprocess.run(check, cwd=executable.parent, check=False).returncode == 0


def test_everything_in_it_has_its_licence(bare: Bare, executable: Path) -> None:
    bare.run("--version")
    (tree,) = bare.unpacked
    bill = json.loads(executable.with_name(f"{executable.name}.cdx.json").read_text())
    without = [each["name"] for each in bill["components"] if not any((tree / "licences" / each["name"]).glob("*"))]
    assert without == []
    assert (tree / "licences/clusterup/LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_requirements_satisfy_what_the_package_asks_for() -> None:
    import tomllib

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    releases = pinned()
    missing = [
        line
        for line in wanted
        if not Requirement(line).specifier.contains(releases.get(normal(Requirement(line).name), "0"))
    ]
    assert missing == []


def test_what_was_signed_is_checked_by_plain_openssh(executable: Path, tmp_path: Path) -> None:
    copy = tmp_path / executable.name
    copy.write_bytes(executable.read_bytes())
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "release")], check=True)
    sign(copy, tmp_path / "release")
    (tmp_path / "signers").write_text(f"release {(tmp_path / 'release.pub').read_text()}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "release", "-n", NAMESPACE, "-s", f"{copy.name}.sig"]
    assert subprocess.run(verify, cwd=tmp_path, stdin=copy.open("rb"), check=False).returncode == 0
    copy.write_bytes(copy.read_bytes() + b"\0")
    assert subprocess.run(verify, cwd=tmp_path, stdin=copy.open("rb"), check=False).returncode != 0
