"""clusterup lab, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.lab.machines.machine import machine_running
from bootstrap.lab.machines.process import identity_of, recorded
from tests.helpers.on_a_terminal import on_a_terminal
from tests.integration.lab.conftest import Bench


def clusterup(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in `folder`, with a state folder in it, unless `environment` says otherwise."""
    done = subprocess.run(
        [sys.executable, "-c", "from bootstrap.cli.main import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def test_help_names_every_command(tmp_path: Path) -> None:
    told = clusterup(tmp_path, "lab", "--help").stdout
    for command in ("up", "status", "console", "stop", "down"):
        assert f"\n  {command} " in told


def test_down_without_a_lab_says_so_and_is_fine(tmp_path: Path) -> None:
    done = clusterup(tmp_path, "lab", "down")
    assert (done.returncode, done.stdout) == (0, "there is no lab lab\n")


@pytest.mark.parametrize("command", [("status",), ("console", "server-1"), ("stop", "server-1")])
def test_other_commands_without_a_lab_are_bad_use_that_says_how_to_make_one(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = clusterup(tmp_path, "lab", *command)
    assert done.returncode == 2
    assert "clusterup lab up" in done.stderr


def test_up_without_a_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    done = clusterup(tmp_path, "lab", "up", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert "clusterup image build" in done.stderr
    assert not (tmp_path / "lab.yaml").exists()


def test_up_without_bubblewrap_says_what_to_install(tmp_path: Path, small_bundle: Path) -> None:
    done = clusterup(tmp_path, "lab", "up", "--bundle", str(small_bundle), "--memory", "64", PATH="/nonexistent")
    assert done.returncode == 1
    assert "apt-get install bubblewrap mtools" in done.stderr
    assert list((tmp_path / "state" / "clusterup" / "labs").glob("[!.]*")) == []


# What installs the three programs that a lab wants, and says when it was asked. mmdebstrap tells that it was run.
APT = """\
#!/bin/sh
[ "$1" = install ] || exit 0
echo "apt-get $*" >>"$ASKED"
for name in bwrap mformat mmdebstrap; do
    printf '#!/bin/sh\\necho "%s was run" >>"$ASKED"; exit 1\\n' $name >"$PLACE/$name"
    chmod +x "$PLACE/$name"
done
"""


@pytest.mark.parametrize(
    ("answer", "asked"),
    [("y\n", ["apt-get install bubblewrap mtools", "mmdebstrap was run"]), ("n\n", []), ("\n", [])],
)
def test_on_a_terminal_what_is_missing_is_installed_if_one_says_so_and_the_command_goes_on(
    tmp_path: Path, small_bundle: Path, answer: str, asked: list[str]
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "apt-get").write_text(APT)
    (programs / "chmod").symlink_to("/bin/chmod")
    (programs / "apt-get").chmod(0o755)
    said = tmp_path / "asked"
    places = {name: str(tmp_path / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME")}
    environment = {"PATH": str(programs), "PLACE": str(programs), "ASKED": str(said), **places}
    argv = [sys.executable, "-c", "from bootstrap.cli.main import main; main()"]
    argv += ["lab", "up", "--bundle", str(small_bundle), "--memory", "64"]
    screen = on_a_terminal(argv, tmp_path, environment, kind="xterm", typed=answer.encode())
    assert screen.status == 1
    assert "Run `apt-get install bubblewrap mtools` now, and then this command again? [y/N]" in screen.text
    assert (said.read_text().splitlines() if said.exists() else []) == asked


def test_up_onto_a_file_of_somebody_elses_is_bad_use(tmp_path: Path, small_bundle: Path) -> None:
    (tmp_path / "lab.yaml").write_text("mine\n")
    done = clusterup(tmp_path, "lab", "up", "--bundle", str(small_bundle))
    assert done.returncode == 2
    assert (tmp_path / "lab.yaml").read_text() == "mine\n"


def test_up_with_another_number_of_servers_is_refused_with_exit_code_4(bench: Bench) -> None:
    bench.up()
    done = clusterup(bench.folder, "lab", "up", "--name", "bench", "--servers", "5")
    assert done.returncode == 4
    assert "the lab bench has 1 server, 1 agent" in done.stderr


def test_status_shows_what_runs_and_what_does_not(bench: Bench) -> None:
    lab = bench.up()
    stopped = clusterup(bench.folder, "lab", "stop", "agent-1", "--name", "bench")
    assert stopped.stdout == "agent-1: switched off\n"
    assert clusterup(bench.folder, "lab", "stop", "agent-1", "--name", "bench").stdout == "agent-1 is off already\n"
    assert not machine_running(lab, "agent-1")
    data = json.loads(clusterup(bench.folder, "lab", "status", "--name", "bench", "-o", "json").stdout)
    assert {machine["name"]: machine["running"] for machine in data["machines"]} == {
        "server-1": True,
        "agent-1": False,
    }
    assert data["accel"] == "tcg"
    assert (data["switch_running"], data["load_balancer_running"]) == (True, True)
    lines = clusterup(bench.folder, "lab", "status", "--name", "bench").stdout.splitlines()
    (server,) = [line.split() for line in lines if line.startswith("server-1")]
    assert server[1:4] == ["running", "10.77.0.11", str(lab.machine("server-1").ssh_port)]
    (agent,) = [line.split() for line in lines if line.startswith("agent-1")]
    assert agent[1] == "off"


def test_a_shape_is_kept_shown_and_ended(tmp_path: Path, bench: Bench) -> None:
    machines = (
        "--servers",
        "1",
        "--agents",
        "1",
        "--memory",
        "64",
        "--memory",
        "agent-1=80",
        "--cpus",
        "1",
        "--disk",
        "1",
    )
    shape = ("--second-disk", "server-1=2", "--segments", "2", "--on", "agent-1=2", "--registry")
    spec = replace(
        bench.spec,
        memory_of=(("agent-1", 80),),
        second_disk_of=(("server-1", 2),),
        segments=2,
        on=(("agent-1", 2),),
        registry=True,
    )
    lab = bench.up(spec)
    assert "the router runs" in bench.said
    assert "the registry runs" in bench.said
    # What would wait for guests is refused before that where the shape is another one, and only there.
    other = clusterup(tmp_path, "lab", "up", "--name", "bench", *machines, *shape[:-1], "--on", "server-1=2")
    assert other.returncode == 4
    assert "--on server-1=2" in other.stderr
    status = clusterup(tmp_path, "lab", "status", "--name", "bench", "-o", "json")
    data = json.loads(status.stdout)
    assert (data["switch_running"], data["router_running"], data["registry"]["running"]) == (True, True, True)
    assert [machine["memory_mib"] for machine in data["machines"]] == [64, 80]
    assert "2 segments with a router; a registry" in clusterup(tmp_path, "lab", "status", "--name", "bench").stdout
    records = sorted(lab.folder.glob("*.process.json"))
    assert [record.name.partition(".")[0] for record in records] == [
        *("haproxy", "registry", "router"),
        *("switch-2", "switch"),
    ]
    processes = [recorded(record) for record in records]
    assert clusterup(tmp_path, "lab", "down", "--name", "bench").returncode == 0
    assert [identity_of(process.pid) for process in processes if process] == [None] * 5
    assert not lab.folder.exists()


@pytest.mark.parametrize("shape", [("--memory", "much"), ("--second-disk", "server-9=1"), ("--on", "server-1")])
def test_a_shape_that_cannot_be_read_is_bad_use(tmp_path: Path, small_bundle: Path, shape: tuple[str, str]) -> None:
    done = clusterup(tmp_path, "lab", "up", "--bundle", str(small_bundle), *shape)
    assert done.returncode == 2
    assert " ".join(shape) in done.stderr or "server-9" in done.stderr
    assert "allowed:" in done.stderr
    assert not (tmp_path / "lab.yaml").exists()


def test_console_into_a_pipe_prints_the_last_lines(bench: Bench) -> None:
    lab = bench.up()
    (lab.folder / "server-1" / "console.log").write_text("".join(f"line {n}\r\n" for n in range(200)))
    done = clusterup(bench.folder, "lab", "console", "server-1", "--name", "bench")
    assert done.stdout.splitlines() == [f"line {n}" for n in range(100, 200)]


def test_a_machine_that_is_not_there_is_bad_use_that_names_those_that_are(bench: Bench) -> None:
    bench.up()
    for command in ("console", "stop"):
        done = clusterup(bench.folder, "lab", command, "server-7", "--name", "bench")
        assert done.returncode == 2
        assert "server-1, agent-1" in done.stderr


def test_down_says_what_it_ends(bench: Bench) -> None:
    bench.up()
    done = clusterup(bench.folder, "lab", "down", "--name", "bench")
    assert done.stdout == "server-1: switched off\nagent-1: switched off\nthe lab bench is gone\n"
