"""Text of machines and servers on a real terminal: it is read there, and never drives it."""

from __future__ import annotations

import json
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bootstrap.pki.token import ca_pin
from bootstrap.pki.x509 import KeyPair, Usage, issue, new_authority
from tests.helpers.node_agent import agent
from tests.helpers.on_a_terminal import Screen, on_a_terminal
from tests.helpers.tls_server import answering
from tests.simulator.cluster import SimulatedCluster, bundle_in, simulated_cluster

CLUSTERUP = (sys.executable, "-c", "from bootstrap.cli.start import start; start()")
TOKEN = "abcdef.0123456789abcdef"
CLIPBOARD = "\x1b]52;c;cm0gLXJmIC8=\x07"
EVIL = f"x{CLIPBOARD}\x9d52;c;eA==\x9c\x9b2J\u202e\u200b[bold]b[/bold][link=http://evil]l[/link]"
READ = r"x\x1b]52;c;cm0gLXJmIC8=\x07\x9d52;c;eA==\x9c\x9b2J\u202e\u200b[bold]b[/bold][link=http://evil]l[/link]"
Server = tuple[str, str]
# One that can move its cursor, and one that can't.
TERMINALS = ("xterm-256color", "dumb")


@contextmanager
def malicious_server(folder: Path, answer: Callable[[KeyPair, Path], AbstractContextManager[int]]) -> Iterator[Server]:
    """An API server that no one should believe, which answers so: its URL, and a pin."""
    authority = new_authority("kubernetes")
    pair = issue(authority, common_name="kube-apiserver", usage=Usage.SERVER, hosts=["127.0.0.1"])
    with answer(pair, folder) as port:
        yield f"https://127.0.0.1:{port}", ca_pin(authority.cert_pem)


@contextmanager
def in_its_message(pair: KeyPair, folder: Path) -> Iterator[int]:
    said = json.dumps({"kind": "Status", "message": EVIL}).encode()
    with answering(pair, lambda _: (403, said), folder) as port:
        yield port


@contextmanager
def in_its_first_line(pair: KeyPair, folder: Path) -> Iterator[int]:
    """No HTTP at all: what the protocol's own library repeats in what it raises."""
    (folder / "first.pem").write_bytes(pair.cert_pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "first.pem")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with context.wrap_socket(self.request, server_side=True) as secured:
                secured.recv(65536)
                secured.sendall(f"{EVIL}\r\n\r\n".encode("latin-1", "replace"))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def environment(folder: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder), "CLUSTERUP_TOKEN": TOKEN}


def is_safe(screen: Screen) -> None:
    """Nothing but Rich's own sequences reached the terminal."""
    assert screen.foreign == set(), screen.shown
    assert b"\x1b]" not in screen.shown
    assert b"Traceback" not in screen.shown


def is_only_read(screen: Screen) -> None:
    """What came from outside is on the screen, in letters, and drives nothing."""
    is_safe(screen)
    assert READ in screen.text.replace("\n", ""), screen.text


@pytest.mark.parametrize("kind", TERMINALS)
@pytest.mark.parametrize("answer", [in_its_message, in_its_first_line])
def test_what_a_server_says_before_any_trust(
    answer: Callable[[KeyPair, Path], AbstractContextManager[int]], kind: str, tmp_path: Path
) -> None:
    bundle_in(tmp_path / "bundle")
    with malicious_server(tmp_path, answer) as (url, pin):
        machine = ("a9.example.org", "--address", "192.0.2.21", "--disk", "/dev/vda")
        command = (*CLUSTERUP, "join", *machine, "--server", url, "--ca-cert-hash", pin, "--bundle", "bundle")
        screen = on_a_terminal(command, tmp_path, environment(tmp_path), kind=kind)
    assert screen.status == 4
    is_safe(screen)
    assert r"x\x1b]52;c;cm0gLXJmIC8=\x07\x9d52;c;eA==\x9c\x9b2J" in screen.text


def test_a_server_s_message_on_a_machine_that_joins_by_itself(tmp_path: Path) -> None:
    with malicious_server(tmp_path, in_its_first_line) as (url, pin):
        command = agent("join", url, "--ca-cert-hash", pin)
        screen = on_a_terminal(command, tmp_path, environment(tmp_path), kind="dumb")
    assert screen.status == 1
    is_safe(screen)
    assert r"\x1b]52" in screen.text


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SimulatedCluster]:
    with simulated_cluster(tmp_path, servers=1, agents=1) as made:
        yield made


def with_model(cluster: SimulatedCluster, name: str, model: str) -> None:
    """Have a machine's disk be of that model."""
    about = cluster.machines[name].about
    cluster.machines[name].about = lambda: about().replace(f"\t{name}\t\t0", f"\t{name}\t{model}\t0")


@pytest.mark.parametrize("kind", TERMINALS)
def test_the_model_of_a_disk_in_a_plan(kind: str, cluster: SimulatedCluster) -> None:
    with_model(cluster, "a1", EVIL)
    screen = on_a_terminal((*CLUSTERUP, "plan", "fleet.yaml"), cluster.folder, cluster.environment, kind=kind)
    assert screen.status == 0, screen.text
    is_only_read(screen)


@pytest.mark.parametrize("kind", TERMINALS)
def test_what_a_machine_says_instead_of_its_facts(kind: str, cluster: SimulatedCluster) -> None:
    cluster.machines["a1"].about = lambda: f"disk\t{EVIL}\n"
    screen = on_a_terminal((*CLUSTERUP, "plan", "fleet.yaml"), cluster.folder, cluster.environment, kind=kind)
    is_safe(screen)
    assert "a1: facts: what it says of itself can't be understood" in screen.text
    assert r"disk\tx\x1b]52;c;cm0gLXJmIC8=\x07" in screen.text
    assert "\ns1\n  install: write" in screen.text


@pytest.mark.parametrize("settings", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {}])
def test_a_file_s_name_that_no_terminal_can_show(settings: dict[str, str], tmp_path: Path) -> None:
    name = b"\xff\x1b]52;c;x\x07\xc3\xa9.yaml"
    screen = on_a_terminal((*CLUSTERUP, b"plan", name), tmp_path, environment(tmp_path) | settings, kind="dumb")
    assert screen.status == 2, screen.text
    is_safe(screen)
    assert r"\udcff\x1b]52;c;x\x07" in screen.text


def test_an_ascii_terminal_gets_plain_lines(cluster: SimulatedCluster) -> None:
    with_model(cluster, "a1", "Größe 漢")
    settings = cluster.environment | {"PYTHONIOENCODING": "ascii"}
    screen = on_a_terminal((*CLUSTERUP, "plan", "fleet.yaml"), cluster.folder, settings, kind="xterm-256color")
    assert screen.status == 0, screen.text
    assert b"\x1b" not in screen.shown
    assert r"Gr\xf6\xdfe \u6f22" in screen.text


def test_a_status_table_is_no_markup(cluster: SimulatedCluster) -> None:
    cluster.machines["a1"].about = lambda: "hostname\n"
    cluster.fleet.switch_off("s1")
    screen = on_a_terminal(
        (*CLUSTERUP, "status", "fleet.yaml"), cluster.folder, cluster.environment, kind="xterm-256color"
    )
    assert screen.status == 1
    assert screen.foreign == set(), screen.shown


def test_nothing_of_a_saved_run_drives_the_terminal_that_reads_it(cluster: SimulatedCluster) -> None:
    journal = cluster.folder / "state" / "clusterup" / "clusters" / "fleet" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    begun = {
        "event": "RunStarted", "run": "1", "time": 1e9, "command": EVIL, "operator": EVIL, "version": EVIL,
        "planned": 0, "actions": [], "unreachable": {"a1": EVIL},
    }  # fmt: skip
    says = {"event": "NodeSays", "run": "1", "time": 1e9, "node": EVIL, "text": EVIL}
    journal.write_text(f"{json.dumps(begun)}\n{json.dumps(says)}\n")
    for command in (["events"], ["events", "--runs"], ["report", "--out", "-"]):
        screen = on_a_terminal(
            (*CLUSTERUP, *command, "--cluster", "fleet"), cluster.folder, cluster.environment, kind="xterm-256color"
        )
        assert screen.status == 0, screen.text
        assert screen.foreign - {"\t"} == set(), screen.shown
        assert r"\x1b]52" in screen.text


def test_json_and_yaml_of_a_plan_hold_no_control_character(cluster: SimulatedCluster) -> None:
    with_model(cluster, "a1", EVIL + "\x7f")
    for form in ("json", "yaml"):
        screen = on_a_terminal(
            (*CLUSTERUP, "plan", "fleet.yaml", "-o", form), cluster.folder, cluster.environment, kind="dumb"
        )
        assert screen.status == 0, screen.text
        assert screen.foreign == set(), screen.shown
        assert "52;c;cm0gLXJmIC8=" in screen.text


def test_what_the_system_refuses_and_what_no_one_expected_end_in_words(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*CLUSTERUP, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.startswith(
        "the machine that clusterup runs on refused it\n  tried: clusterup schema\n  got: No space"
    )
    # A library that is broken, as after an upgrade that was cut.
    (tmp_path / "yaml.py").write_text("raise RuntimeError('\x1b]52;c;x\x07')\n")
    (tmp_path / "lab.yaml").touch()
    done = subprocess.run([*CLUSTERUP, "plan", "lab.yaml"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.startswith(
        "an error in clusterup itself\n  tried: clusterup plan lab.yaml\n  got: RuntimeError: "
    )
    assert r"\x1b]52;c;x\x07 (" in done.stderr
    assert "CLUSTERUP_TRACEBACK=1" in done.stderr
