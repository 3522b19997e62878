"""Logging in: which keys and passwords are tried, in which order, and what is said when none opens.

The order: the keys named for the node, the cluster's own, its password, the agent's keys, and where no named key is
on this machine the usual files in ~/.ssh. Named things come first because a server hangs up after a few refusals
(MaxAuthTries of sshd_config(5), usually 6).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.paths import home_folder
from bootstrap.transport.agent import AgentKeys, agent_of
from bootstrap.transport.errors import AuthenticationFailed, TransportError
from bootstrap.transport.target import Hop, said_of_unused

if TYPE_CHECKING:
    import paramiko

USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A way to log in; `go` returns what the server still wants afterwards (RFC 4252, section 5.1)."""

    label: str
    go: Callable[[], list[str]]


@dataclass(frozen=True, slots=True)
class _Unusable:
    """A key that could not even be tried."""

    label: str
    hint: str


def authenticate(transport: paramiko.Transport, hop: Hop, timeout: float) -> None:
    """Log in over a transport whose host key was checked. `timeout` (seconds) bounds each attempt.

    Raises AuthenticationFailed naming every key and method tried, TransportError when the server hangs up or
    falls silent, BadUse when a secret can't be had.
    """
    import paramiko

    transport.auth_timeout = timeout
    try:
        with agent_of(hop) as agent:
            _log_in(transport, hop, agent)
    except paramiko.AuthenticationException as error:
        raise _silent(hop, timeout, str(error)) from None
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise TransportError(
            "the connection was lost while logging in",
            node=hop.node,
            step="connect",
            tried=f"to log in as {hop.described}",
            got=str(error) or type(error).__name__,
            hint="look at the node's sshd log; try again",
        ) from None


def _log_in(transport: paramiko.Transport, hop: Hop, agent: AgentKeys) -> None:
    import paramiko

    tried: list[str] = []
    hints: list[str] = []
    for attempt in _attempts(transport, hop, agent):
        if isinstance(attempt, _Unusable):
            tried.append(attempt.label)
            hints.append(attempt.hint)
            continue
        try:
            wanted = attempt.go()
        except paramiko.BadAuthenticationType as error:
            tried.append(f"{attempt.label}: not allowed, only {' and '.join(error.allowed_types)}")
            continue
        except paramiko.AuthenticationException as error:
            if "timeout" in str(error).lower():
                raise
            tried.append(f"{attempt.label}: refused")
            if not transport.is_active():
                tried.append("then the server hung up")
                hints.append("name the one right key as ssh.key, so that the server does not count others as failures")
                break
            continue
        if transport.is_authenticated():
            return
        tried.append(f"{attempt.label}: accepted, but {' and '.join(wanted)} is wanted as well")
    hints.append(
        f"make sure that one of {hop.user}'s authorized_keys on it is among your keys, or name another key (ssh.key), "
        "user (ssh.user) or password (ssh.password_from)" + said_of_unused(hop)
    )
    raise AuthenticationFailed(
        f"{hop.described} lets none of your keys and passwords in",
        node=hop.node,
        step="connect",
        tried="; ".join(tried) or "nothing: there is no key, no agent and no password to try",
        got="authentication failed",
        hint=hints[0],
    )


def _attempts(transport: paramiko.Transport, hop: Hop, agent: AgentKeys) -> Iterator[_Attempt | _Unusable]:
    seen: set[bytes] = set()

    def with_key(key: paramiko.PKey, label: str) -> Iterator[_Attempt]:
        if key.asbytes() not in seen:
            seen.add(key.asbytes())
            yield _Attempt(
                f"{label} ({key.get_name()} {key.fingerprint})", lambda: transport.auth_publickey(hop.user, key)
            )

    in_agent = {key.asbytes(): key for key in agent.keys}
    for path in dict.fromkeys(hop.keys if hop.own is None else (*hop.keys, hop.own.key)):
        held = in_agent.get(_public_blob(path)) if in_agent else None
        loaded = held or _load(path, hop)
        if isinstance(loaded, _Unusable):
            yield loaded
        else:
            yield from with_key(loaded, f"key {path}" + (" from the agent" if held else ""))
    if hop.password is not None:
        password = hop.password()
        yield _Attempt("password", lambda: transport.auth_password(hop.user, password))
    if not hop.only_keys:
        for agent_key in agent.keys:
            yield from with_key(agent_key, f"agent key {agent_key.comment}".rstrip())
    if agent.trouble:
        yield _Unusable(f"agent {agent.trouble}", "start the agent, or correct IdentityAgent of the SSH configuration")
    # An inventory that came from another operator names keys of their machine.
    if (home := home_folder()) is not None and not any(path.exists() for path in hop.keys):
        for path in (home / ".ssh" / name for name in USUAL_KEYS):
            if path.is_file():
                loaded = _load(path, hop)
                if isinstance(loaded, _Unusable):
                    yield loaded
                else:
                    yield from with_key(loaded, f"key {path}")


def _public_blob(path: Path) -> bytes:
    """The public half of a key, by which the agent's copy is known: the file that is named may be that itself, or it
    lies beside the private key. Empty where there is none."""
    return _public_half(path) or _public_half(Path(f"{path}.pub"))


def _public_half(path: Path) -> bytes:
    try:
        kind, blob, *_ = path.read_text(encoding="utf-8").split()
        found = base64.b64decode(blob, validate=True)
    except (OSError, ValueError):
        return b""
    # RFC 4253, section 6.6: it begins with its own kind.
    return found if found[4 : 4 + int.from_bytes(found[:4], "big")] == kind.encode() else b""


def _load(path: Path, hop: Hop) -> paramiko.PKey | _Unusable:
    try:
        if hop.own is not None and path == hop.own.key and hop.own.content is not None:
            return _of_content(hop.own.content)
        return _opened(path, None)
    except FileNotFoundError as error:
        return _Unusable(
            f"key {path}: {error.strerror}", f"{path} is not on this machine: name a key that is (ssh.key)"
        )
    except OSError as error:
        return _Unusable(f"key {path}: {error.strerror}", f"correct the path of the key, or make {path} readable")
    except TypeError:  # what cryptography raises for a key under a passphrase
        return _unlocked(path, hop)
    except Exception:  # ValueError, but also UnsupportedAlgorithm and its like, which have no common base
        return _only_public(path) if _public_half(path) else _not_a_key(path)


def _only_public(path: Path) -> _Unusable:
    return _Unusable(
        f"key {path}: it is a public key, and no agent here has its private half",
        f"have the agent hold it (ssh-add), or name the private key instead of {path}",
    )


def _unlocked(path: Path, hop: Hop) -> paramiko.PKey | _Unusable:
    if hop.passphrase is None:
        return _Unusable(
            f"key {path}: it is locked by a passphrase",
            f"say where its passphrase is (ssh.passphrase_from), or unlock it for the agent: ssh-add {path}",
        )
    passphrase = hop.passphrase().encode()
    try:
        return _opened(path, passphrase)
    except ValueError:
        return _Unusable(f"key {path}: the passphrase does not open it", "correct the passphrase (ssh.passphrase_from)")
    except Exception:
        return _not_a_key(path)


def _opened(path: Path, passphrase: bytes | None) -> paramiko.PKey:
    return _understood(path, path.read_bytes(), passphrase)


@lru_cache(4)
def _of_content(content: bytes) -> paramiko.PKey:
    """A key that clusterup made (Ed25519, without a passphrase) and that is in no file yet."""
    import paramiko

    return paramiko.Ed25519Key.from_private_key(io.StringIO(content.decode()))


# One key opens many machines. Whoever replaces the file is heard: its content is part of the question.
@lru_cache(64)
def _understood(path: Path, _: bytes, passphrase: bytes | None) -> paramiko.PKey:
    import paramiko

    # Paramiko hands this on to cryptography, which takes bytes only.
    return paramiko.PKey.from_path(path, passphrase)  # type: ignore[arg-type]


def _not_a_key(path: Path) -> _Unusable:
    return _Unusable(
        f"key {path}: not a private key that can be used (Ed25519, ECDSA or RSA)", "name another key (ssh.key)"
    )


def _silent(hop: Hop, timeout: float, got: str) -> TransportError:
    return TransportError(
        f"the server fell silent while logging in, for {timeout:.0f} s",
        node=hop.node,
        step="connect",
        tried=f"to log in as {hop.described}",
        got=got,
        hint="look at the node's console and its sshd log; it may be out of memory or still starting. Then try again",
    )
