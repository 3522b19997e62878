"""Real OpenSSH servers on loopback, each with its own keys and folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.transport.hostkeys import HostKeys
from bootstrap.transport.ssh import SshTarget, SshTransport, open_ssh

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True)
class Server:
    """A running sshd: where it listens, its public host key line, and the private key that it lets in."""

    port: int
    host_key: str
    key: Path
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@dataclass
class World:
    """What a test connects with: pinned keys, a home folder without surprises, and what was asked about trust."""

    host_keys: HostKeys
    folder: Path
    asked: list[str]
    stack: ExitStack

    def trust(self, name: str, line: str, pins: dict[str, str]) -> str:
        assert pins == {}
        assert line.startswith(("ssh-ed25519 ", "ssh-rsa "))
        self.asked.append(name)
        return "live"

    def target(self, server: Server, **more: object) -> SshTarget:
        settings: dict[str, object] = {
            "node": "node1",
            "host": "127.0.0.1",
            "port": server.port,
            "user": "root",
            "keys": (server.key,),
            "config_file": self.folder / "ssh_config",
            "agent": False,
        }
        return SshTarget(**(settings | more))  # type: ignore[arg-type]

    def open(self, target: SshTarget, *, connect_timeout: float = 20.0) -> SshTransport:
        way = open_ssh(target, self.host_keys, self.trust, connect_timeout=connect_timeout)
        self.stack.callback(way.close)
        return way


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with ExitStack() as stack:
        yield World(HostKeys(tmp_path / "state" / "hosts.json"), tmp_path, [], stack)


@pytest.fixture
def start_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts an sshd with more lines of sshd_config(5); all are stopped at the end."""
    with ExitStack() as stack:
        yield lambda *lines: stack.enter_context(running_sshd(tmp_path_factory.mktemp("sshd"), lines))


@pytest.fixture
def sshd(start_sshd: Callable[..., Server]) -> Server:
    return start_sshd()


@contextmanager
def running_sshd(folder: Path, lines: tuple[str, ...]) -> Iterator[Server]:
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    host_key = write_key(folder / "host_key")
    write_key(folder / "user_key")
    # sshd refuses files below folders that others may write to, which /tmp is; StrictModes is about those.
    (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
    # The folders are pytest's, closed to others; sshd reads authorized_keys as the user who logs in.
    for part in (folder, *folder.parents):
        if part.stat().st_uid == os.getuid() and Path(tempfile.gettempdir()) in part.parents:
            part.chmod(0o755)
    (folder / "authorized_keys").chmod(0o644)
    port = free_port()
    (folder / "config").write_text(
        "\n".join(
            (
                *lines,
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {folder}/host_key",
                f"AuthorizedKeysFile {folder}/authorized_keys",
                f"PidFile {folder}/pid",
                "StrictModes no",
                "UsePAM no",
                "PermitRootLogin yes",
                "MaxStartups 100",
                "LogLevel VERBOSE",
                "",
            )
        )
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        wait_for(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield Server(port, host_key, folder / "user_key", folder)
    finally:
        process.terminate()
        process.wait(10)


def write_key(path: Path) -> str:
    key = new_ssh_key()
    path.touch(mode=0o600)
    path.write_bytes(key.private)
    path.with_name(path.name + ".pub").write_text(key.public + "\n")
    return key.public


def lock_key(path: Path, passphrase: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", passphrase, "-f", path], check=True, capture_output=True)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come about"
        time.sleep(0.02)


@dataclass(frozen=True)
class User:
    name: str
    password: str


@pytest.fixture
def sudoer() -> Iterator[User]:
    """A user of this machine who may use sudo with a password; gone at the end. The test needs to be root."""
    assert os.geteuid() == 0, "these tests make a user, as root"
    assert shutil.which("sudo"), "these tests need sudo"
    user = User(f"clusterup-{os.getpid()}", "correct horse")
    rules = Path("/etc/sudoers.d") / user.name
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", user.name], check=True)
    try:
        subprocess.run(["chpasswd"], input=f"{user.name}:{user.password}\n", text=True, check=True)
        # use_pty is the default of newer releases: what is tested has to work with it.
        rules.write_text(f"Defaults:{user.name} use_pty, !lecture\n{user.name} ALL=(ALL) ALL\n")
        rules.chmod(0o440)
        yield user
    finally:
        rules.unlink(missing_ok=True)
        subprocess.run(["userdel", "--force", "--remove", user.name], check=True, capture_output=True)


def without_password(user: User) -> None:
    (Path("/etc/sudoers.d") / user.name).write_text(f"{user.name} ALL=(ALL) NOPASSWD: ALL\n")
