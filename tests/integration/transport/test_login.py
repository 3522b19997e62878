"""Logging in: keys, passphrases, passwords, agents, jump hosts, the SSH configuration, host keys."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootstrap.errors import BadUse, Refused
from bootstrap.pki.sshkeys import fingerprint
from bootstrap.transport.base import Command
from bootstrap.transport.errors import AuthenticationFailed, HostKeyMismatch, TransportError
from bootstrap.transport.ssh import SshTransport, open_ssh
from bootstrap.transport.target import OwnLogin
from tests.integration.transport.conftest import (
    Server,
    User,
    World,
    free_port,
    lock_key,
    without_password,
    write_key,
)

WHO = Command("who", "id -u")
StartSshd = Callable[..., Server]


def is_root(way: SshTransport) -> bool:
    return way.check(WHO).text == "0\n"


def test_a_key_lets_in_and_the_host_key_is_asked_about_once(world: World, sshd: Server) -> None:
    first = world.open(world.target(sshd))
    second = world.open(world.target(sshd))
    assert is_root(first)
    assert is_root(second)
    assert world.asked == ["node1"]
    assert (second.node, second.host_key, second.host_key_kind) == ("node1", sshd.host_key, "live")


def test_a_key_under_a_passphrase_needs_the_right_one(world: World, sshd: Server) -> None:
    lock_key(sshd.key, "open sesame")
    assert is_root(world.open(world.target(sshd, passphrase=lambda: "open sesame")))
    with pytest.raises(AuthenticationFailed, match="the passphrase does not open it") as wrong:
        world.open(world.target(sshd, passphrase=lambda: "open barley"))
    assert "open barley" not in str(wrong.value)
    with pytest.raises(AuthenticationFailed, match="locked by a passphrase") as locked:
        world.open(world.target(sshd))
    assert str(sshd.key) in str(locked.value)


def test_a_refused_login_lists_every_key_and_method_tried(world: World, sshd: Server) -> None:
    stranger = world.folder / "stranger"
    public = write_key(stranger)
    garbage = world.folder / "garbage"
    garbage.write_text("not a key")
    target = world.target(sshd, keys=(stranger, garbage, world.folder / "absent"), password=lambda: "not the password")
    with pytest.raises(AuthenticationFailed) as failed:
        world.open(target)
    error = failed.value
    assert (error.node, error.step) == ("node1", "connect")
    assert error.tried is not None
    assert f"key {stranger} (ssh-ed25519 {fingerprint(public)}): refused" in error.tried
    assert f"key {garbage}: not a private key" in error.tried
    assert f"key {world.folder}/absent: No such file" in error.tried
    assert "password: refused" in error.tried
    assert f"root@127.0.0.1:{sshd.port}" in error.problem
    assert "not the password" not in str(error)


def test_a_server_that_takes_no_passwords_is_said_to(world: World, start_sshd: StartSshd) -> None:
    server = start_sshd("PasswordAuthentication no", "KbdInteractiveAuthentication no")
    with pytest.raises(AuthenticationFailed, match="password: not allowed, only publickey"):
        world.open(world.target(server, keys=(), password=lambda: "secret"))


def test_a_password_lets_in(world: World, sshd: Server, sudoer: User) -> None:
    without_password(sudoer)
    target = world.target(sshd, user=sudoer.name, keys=(), password=lambda: sudoer.password)
    assert is_root(world.open(target))


@pytest.fixture
def agent(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = world.folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "SSH_AUTH_SOCK" in process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    process.terminate()
    process.wait(10)
    process.stdout.close()


def test_a_key_of_the_agent_lets_in(world: World, sshd: Server, agent: Path) -> None:
    subprocess.run(["ssh-add", "-q", sshd.key], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(agent)})
    sshd.key.unlink()
    assert is_root(world.open(world.target(sshd, keys=(), agent=True)))
    with pytest.raises(AuthenticationFailed, match="there is no key, no agent and no password"):
        world.open(world.target(sshd, keys=(), agent=False))


def test_a_locked_key_that_the_agent_holds_needs_no_passphrase(world: World, sshd: Server, agent: Path) -> None:
    subprocess.run(["ssh-add", "-q", sshd.key], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(agent)})
    lock_key(sshd.key, "open sesame")
    assert is_root(world.open(world.target(sshd, agent=True)))


def test_a_public_key_that_is_named_selects_the_agent_s(world: World, sshd: Server, agent: Path) -> None:
    subprocess.run(["ssh-add", "-q", sshd.key], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(agent)})
    sshd.key.unlink()
    public = Path(f"{sshd.key}.pub")
    (world.folder / "ssh_config").write_text(f"Host *\n  IdentityFile {public}\n  IdentitiesOnly yes\n")
    assert is_root(world.open(world.target(sshd, keys=(), agent=True)))
    assert is_root(world.open(world.target(sshd, keys=(public,), agent=True)))
    with pytest.raises(AuthenticationFailed, match="it is a public key, and no agent here has its private half"):
        world.open(world.target(sshd, keys=(public,), agent=False))


def test_the_agent_that_the_configuration_names_is_asked(
    world: World, sshd: Server, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["ssh-add", "-q", sshd.key], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(agent)})
    sshd.key.unlink()
    monkeypatch.delenv("SSH_AUTH_SOCK")
    config = world.folder / "ssh_config"
    config.write_text(f"Host *\n  IdentityAgent {agent}\n")
    assert is_root(world.open(world.target(sshd, keys=(), agent=True)))
    config.write_text(f"Host *\n  IdentityAgent {agent}.gone\n")
    with pytest.raises(AuthenticationFailed, match=r"agent .*agent\.gone: No such file"):
        world.open(world.target(sshd, keys=(), agent=True))


def test_what_of_the_configuration_counts_for_nothing_is_named(world: World, sshd: Server) -> None:
    (world.folder / "ssh_config").write_text("Host *\n  CertificateFile /keys/cert.pub\n")
    with pytest.raises(AuthenticationFailed) as failed:
        world.open(world.target(sshd, keys=()))
    assert failed.value.hint.endswith("of the SSH configuration, clusterup does not use CertificateFile")


def test_the_usual_key_in_the_home_folder_is_tried(world: World, sshd: Server) -> None:
    usual = world.folder / "home" / ".ssh" / "id_ed25519"
    usual.parent.mkdir()
    sshd.key.rename(usual)
    assert is_root(world.open(world.target(sshd, keys=())))


def test_a_named_key_that_is_not_on_this_machine_leaves_the_usual_one_to_be_tried(world: World, sshd: Server) -> None:
    usual = world.folder / "home" / ".ssh" / "id_ed25519"
    usual.parent.mkdir()
    sshd.key.rename(usual)
    assert is_root(world.open(world.target(sshd, keys=(Path("/home/another/.ssh/id_ed25519"),))))
    write_key(world.folder / "stranger")
    with pytest.raises(AuthenticationFailed) as failed:
        world.open(world.target(sshd, keys=(world.folder / "stranger",)))
    assert str(usual) not in str(failed.value)


def test_the_cluster_s_own_key_is_offered_beside_named_and_usual_ones(world: World, sshd: Server) -> None:
    own = world.folder / "own"
    ours = OwnLogin(write_key(own), "nobody", own)
    assert is_root(world.open(world.target(sshd, own=ours)))
    usual = world.folder / "home" / ".ssh" / "id_ed25519"
    usual.parent.mkdir()
    sshd.key.rename(usual)
    assert is_root(world.open(world.target(sshd, keys=(), own=ours)))
    usual.rename(own)
    assert is_root(world.open(world.target(sshd, keys=(world.folder / "absent",), own=ours)))


def test_without_a_key_that_is_there_the_message_says_which_one_is_not(world: World, sshd: Server) -> None:
    absent = world.folder / "absent"
    with pytest.raises(AuthenticationFailed) as failed:
        world.open(world.target(sshd, keys=(absent,)))
    assert failed.value.hint == f"{absent} is not on this machine: name a key that is (ssh.key)"


def test_the_ssh_configuration_names_host_port_user_key_and_jump(
    world: World, start_sshd: StartSshd, sshd: Server
) -> None:
    jump = start_sshd()
    included = world.folder / "more_config"
    included.write_text(
        f"Host bastion\n  HostName 127.0.0.1\n  Port {jump.port}\n  User root\n  IdentityFile {jump.key}\n"
    )
    (world.folder / "ssh_config").write_text(
        f"Include {included}\nHost machine\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User root\n"
        f"  IdentityFile {sshd.key}\n  ProxyJump bastion\n"
    )
    target = world.target(sshd, host="machine", port=None, user=None, keys=())
    assert is_root(world.open(target))
    assert world.asked == [f"jump:127.0.0.1:{jump.port}", "node1"]
    assert "Accepted publickey" in jump.log


def test_what_the_target_says_wins_over_the_configuration(world: World, sshd: Server) -> None:
    (world.folder / "ssh_config").write_text("Host *\n  Port 1\n  User nobody\n  IdentityFile /nowhere\n")
    assert is_root(world.open(world.target(sshd)))


def test_a_configuration_that_cannot_be_used_is_named(world: World, sshd: Server) -> None:
    (world.folder / "ssh_config").write_text("Host *\n  ProxyCommand nc %h %p\n")
    with pytest.raises(BadUse, match="sets ProxyCommand, which is not supported"):
        world.open(world.target(sshd))
    (world.folder / "ssh_config").write_text("Host *\n  ProxyJump 127.0.0.1\n")
    with pytest.raises(BadUse, match="jumphost loop"):
        world.open(world.target(sshd))
    assert is_root(world.open(world.target(sshd, use_config=False)))


def test_a_jump_host_leads_to_the_node_and_its_host_key_is_checked(
    world: World, start_sshd: StartSshd, sshd: Server
) -> None:
    jump = start_sshd()
    target = world.target(sshd, jumps=(world.target(jump),))
    assert is_root(world.open(target))
    other = write_key(world.folder / "other")
    world.host_keys.pin(f"jump:127.0.0.1:{jump.port}", "live", other)
    with pytest.raises(HostKeyMismatch, match=f"jump host root@127.0.0.1:{jump.port}"):
        world.open(target)


def test_a_jump_host_has_a_key_a_passphrase_and_a_host_key_of_its_own(
    world: World, start_sshd: StartSshd, sshd: Server
) -> None:
    jump = start_sshd()
    lock_key(jump.key, "open sesame")
    gate = world.target(jump, passphrase=lambda: "open sesame", host_key=jump.host_key)
    assert is_root(world.open(world.target(sshd, jumps=(gate,))))
    assert world.asked == ["node1"]
    other = world.target(jump, host_key=write_key(world.folder / "other"))
    with pytest.raises(HostKeyMismatch, match="correct its host_key in the inventory"):
        world.open(world.target(sshd, jumps=(other,)))


def test_a_node_that_the_jump_host_cannot_reach_is_said_so(world: World, start_sshd: StartSshd, sshd: Server) -> None:
    jump = start_sshd()
    with pytest.raises(TransportError, match=r"the jump host can't reach 127\.0\.0\.1 port") as failed:
        world.open(world.target(sshd, port=free_port(), jumps=(world.target(jump),)))
    assert failed.value.node == "node1"


def test_another_host_key_than_the_pinned_one_is_refused_with_both_fingerprints(world: World, sshd: Server) -> None:
    other = write_key(world.folder / "other")
    world.host_keys.pin("node1", "installed", other)
    with pytest.raises(HostKeyMismatch) as failed:
        world.open(world.target(sshd))
    message = str(failed.value)
    assert fingerprint(other) in message
    assert fingerprint(sshd.host_key) in message
    assert world.asked == []
    assert "Accepted publickey" not in sshd.log
    assert failed.value.exit_code == 4


def test_either_of_two_pinned_host_keys_is_right(world: World, sshd: Server) -> None:
    world.host_keys.pin("node1", "live", write_key(world.folder / "other"))
    world.host_keys.pin("node1", "installed", sshd.host_key)
    assert world.open(world.target(sshd)).host_key_kind == "installed"


def test_of_several_host_keys_the_pinned_one_is_asked_for(world: World, start_sshd: StartSshd) -> None:
    rsa = world.folder / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsa], check=True)
    server = start_sshd(f"HostKey {rsa}")
    world.host_keys.pin("node1", "live", rsa.with_suffix(".pub").read_text())
    assert world.open(world.target(server)).host_key.startswith("ssh-rsa ")


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_host_key_of_another_kind_is_found_beside_that_of_the_installed_system(
    world: World, start_sshd: StartSshd, kind: str
) -> None:
    other = world.folder / kind
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", other], check=True)
    server = start_sshd(f"HostKey {other}")
    world.host_keys.pin("node1", "live", other.with_suffix(".pub").read_text())
    world.host_keys.pin("node1", "installed", write_key(world.folder / "installed"))
    assert world.open(world.target(server)).host_key_kind == "live"


def test_an_unknown_host_key_that_is_not_trusted_is_refused(world: World, sshd: Server) -> None:
    with pytest.raises(Refused, match="not known and was not accepted") as failed:
        open_ssh(world.target(sshd), world.host_keys, lambda name, line, pins: None)
    assert fingerprint(sshd.host_key) in str(failed.value)
    assert world.host_keys.pinned("node1") == {}


def test_a_peer_that_says_nothing_is_given_up(world: World, sshd: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(TransportError, match="said nothing for 1 s") as failed:
            world.open(world.target(sshd, port=port), connect_timeout=1.0)
    assert failed.value.node == "node1"
    assert f"root@127.0.0.1:{port}" in str(failed.value)


def test_a_server_that_falls_silent_while_logging_in_is_given_up(world: World, start_sshd: StartSshd) -> None:
    slow = start_sshd("AuthorizedKeysCommand /bin/sleep 8", "AuthorizedKeysCommandUser root")
    write_key(world.folder / "stranger")
    with pytest.raises(TransportError, match="fell silent while logging in, for 1 s") as failed:
        world.open(world.target(slow, keys=(world.folder / "stranger",)), connect_timeout=1.0)
    assert not isinstance(failed.value, AuthenticationFailed)


def test_a_refused_connection_an_unknown_name_and_a_foreign_service_are_told_apart(world: World, sshd: Server) -> None:
    with pytest.raises(TransportError, match="nothing listens on port"):
        world.open(world.target(sshd, port=free_port()))
    with pytest.raises(TransportError, match=r"the name no-such-host\.invalid is not known"):
        world.open(world.target(sshd, host="no-such-host.invalid"))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(TransportError, match="no SSH connection comes about"):
            world.open(world.target(sshd, port=listener.getsockname()[1]))
        thread.join()


def test_failures_leave_no_traceback_on_the_terminal(
    world: World, sshd: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TransportError):
        world.open(world.target(sshd, port=silent.getsockname()[1]), connect_timeout=0.5)
    with pytest.raises(AuthenticationFailed):
        world.open(world.target(sshd, keys=()))
    assert capfd.readouterr().err == ""
