"""clusterup validate, schema and init, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BOMB = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{f'*a{n - 1},' * 9}]" for n in range(1, 10))]).encode()


def clusterup(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from bootstrap.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_init_writes_an_inventory_that_validate_finds_fine(tmp_path: Path) -> None:
    assert clusterup("init", folder=tmp_path).returncode == 0
    checked = clusterup("validate", "inventory.yaml", folder=tmp_path)
    assert checked.stdout == "inventory.yaml: fine: 3 servers, 1 agent\n"
    assert checked.returncode == 0


def test_validate_checks_inventory_yaml_where_no_file_is_named(tmp_path: Path) -> None:
    assert clusterup("init", folder=tmp_path).returncode == 0
    assert clusterup("validate", folder=tmp_path).stdout == "inventory.yaml: fine: 3 servers, 1 agent\n"


def test_a_file_that_is_called_as_standard_input_is_a_file_behind_dot_and_slash(tmp_path: Path) -> None:
    assert clusterup("init", "./-", folder=tmp_path).returncode == 0
    assert (tmp_path / "-").is_file()
    checked = clusterup("validate", "./-", folder=tmp_path)
    assert (checked.returncode, "fine: 3 servers" in checked.stdout) == (0, True)
    (tmp_path / "-").write_text("cluster: {}\n")
    refused = clusterup("plan", "./-", folder=tmp_path)
    assert (refused.returncode, f"{tmp_path}/-:1:10: cluster.name is missing" in refused.stderr) == (2, True)


def test_help_that_can_t_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    program = "from bootstrap.cli.start import start; start()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, "--help"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "the help can't be written: No space left on device\n")


def test_init_replaces_nothing_unless_told_to(tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text("mine")
    refused = clusterup("init", folder=tmp_path)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert (tmp_path / "inventory.yaml").read_text() == "mine"
    assert clusterup("init", "--force", folder=tmp_path).returncode == 0


def test_validate_shows_the_problems_of_all_files_and_exits_2(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("cluster: {nam: x}\nnodes: []\n")
    checked = clusterup("validate", "a.yaml", "b.yaml", folder=tmp_path)
    assert checked.returncode == 2
    assert "a.yaml:1:11: unknown key 'nam' in cluster" in checked.stderr
    assert "b.yaml" in checked.stderr
    assert "Traceback" not in checked.stderr


@pytest.mark.parametrize("command", ["validate", "plan"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB, "more than 200,000 values"),
        (b"[" * 100_000, "nested deeper"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"a: " + b"9" * 5_000, "is read as a number"),
        (b"a: !!python/object/apply:os.system [id]", "the tag"),
        (b"a: \0", "U+0000"),
        (b"#" * (5 << 20), "longer than 4 MiB"),
    ],
    ids=["aliases", "deep", "bytes", "number", "tag", "nul", "long"],
)
def test_an_inventory_that_attacks_is_bad_use_without_a_traceback(
    tmp_path: Path, command: str, content: bytes, said: str
) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    ended = clusterup(command, "a.yaml", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "next: " in ended.stderr


def test_validate_says_that_no_new_cluster_is_made_of_a_kubernetes_that_is_not_supported(tmp_path: Path) -> None:
    file = tmp_path / "inventory.yaml"
    node = "{name: s1, role: server, address: 10.0.0.1, disk: /dev/vda}"
    for version, said in (("1.36", ""), ("1.19.3", "inventory.yaml: note: Kubernetes 1.19 is not one")):
        file.write_text(f"cluster: {{name: c}}\nkubernetes: {{version: '{version}'}}\nnodes: [{node}]\n")
        checked = clusterup("validate", folder=tmp_path)
        assert checked.returncode == 0, checked.stderr
        assert checked.stderr.startswith(said)
        assert bool(checked.stderr) == bool(said)


def test_the_releases_of_kubernetes_that_there_are_can_be_listed(tmp_path: Path) -> None:
    shown = clusterup("image", "releases", folder=tmp_path).stdout.splitlines()
    assert [line.partition(":")[0] for line in shown] == ["1.37", "1.36", "1.35", "1.20"]
    (newest,) = [line for line in shown if line.endswith("(where nothing is said)")]
    assert "etcd 3.6" in newest
    rows = json.loads(clusterup("image", "releases", "-o", "json", folder=tmp_path).stdout)
    assert rows[0]["components"]["containerd"].startswith("2.")


def test_validate_speaks_json(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("cluster: {nam: x}\nnodes: []\n")
    (result,) = json.loads(clusterup("validate", "-o", "json", "a.yaml", folder=tmp_path).stdout)
    assert result["file"] == "a.yaml"
    assert {key: result["problems"][1][key] for key in ("line", "column")} == {"line": 1, "column": 11}


def test_the_schema_describes_every_key(tmp_path: Path) -> None:
    document = json.loads(clusterup("schema", folder=tmp_path).stdout)
    assert document["$schema"].startswith("https://json-schema.org/")
    described = [
        (section, key, "description" in value)
        for section, schema in document["$defs"].items()
        for key, value in schema.get("properties", {}).items()
    ]
    assert described
    assert [entry for entry in described if not entry[2]] == []


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom bootstrap.cli.main import main\nsys.argv = ['clusterup', '--help']\n"
        "try:\n main()\nexcept SystemExit as end:\n assert end.code == 0\n"
        "print('heavy:', sorted({'paramiko', 'etcd3', 'pydantic', 'cryptography', 'httpx', 'jinja2', 'yaml'}"
        " & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "heavy: []" in shown.stdout


def test_validate_reads_the_manifests_that_an_inventory_names_and_says_all_that_is_wrong_with_them(
    tmp_path: Path,
) -> None:
    assert clusterup("init", folder=tmp_path).returncode == 0
    inventory = tmp_path / "inventory.yaml"
    lines = len(inventory.read_text().splitlines())
    inventory.write_text(inventory.read_text() + "manifests:\n- apps\n- web.yaml\n- fine.yaml\n")
    (tmp_path / "web.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    (tmp_path / "fine.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n")
    refused = clusterup("validate", folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[:2] == [
        f"inventory.yaml:{lines + 2}:3: the manifests at apps can't be used: No such file or directory (paths are "
        "relative to the folder of the inventory; where another operator wrote it, the file is on their machine, and "
        "has to be copied)",
        f"inventory.yaml:{lines + 3}:3: web.yaml:1 can't be applied: the Pod has no metadata.name (give it one: what "
        "has a name of its own each time (generateName) can't be applied again)",
    ]
    assert clusterup("validate", "--elsewhere", folder=tmp_path).returncode == 0
