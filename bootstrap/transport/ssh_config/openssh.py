"""What a person's SSH configuration says of a host, as OpenSSH itself reads it: `ssh -G` is asked.

No other program reads ssh_config(5) as it does (Include, Match, quotes, tokens, which of two lines wins). It is asked
only where a file says something that matters here: a start of ssh for each of a thousand nodes takes a while.
Source: ssh(1), "-G"; ssh_config(5).
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from glob import glob
from pathlib import Path

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
# A `Match exec` runs a program of the person's own.
SECONDS = 20.0
DEEPEST_INCLUDE = 16
# What these say changes nothing of where a host is and how one logs in to it.
HARMLESS = frozenset(
    (
        *("addkeystoagent", "compression", "controlmaster", "controlpath", "controlpersist", "enableescapecommandline"),
        *("escapechar", "forwardagent", "forwardx11", "forwardx11timeout", "forwardx11trusted", "gssapiauthentication"),
        *("gssapidelegatecredentials", "hashknownhosts", "host", "ipqos", "loglevel", "permitlocalcommand"),
        *("requesttty", "sendenv", "serveralivecountmax", "serveraliveinterval", "setenv", "tcpkeepalive"),
        *("updatehostkeys", "visualhostkey"),
    )
)
# What OpenSSH does and clusterup does not: named where somebody is not let in.
UNUSED = {
    "bindaddress": "BindAddress",
    "bindinterface": "BindInterface",
    "certificatefile": "CertificateFile",
    "pkcs11provider": "PKCS11Provider",
    "securitykeyprovider": "SecurityKeyProvider",
}
_DEFAULTS = {"securitykeyprovider": "internal", "pkcs11provider": "none", "certificatefile": "none"}
_TOKEN = re.compile(r"%(.)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Unusable(Exception):
    """The configuration can't be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Configured:
    """What counts for a host. `user` None: nothing is said of it. `keys` are the files that are named, in their order.
    `agent` is the socket of an agent: "" for none at all, None for the usual one. `jumps` is the value of ProxyJump,
    `command` that of ProxyCommand; None where there is none. `unused` are options that are set and count for nothing.
    """

    host: str
    port: int
    user: str | None
    keys: tuple[Path, ...] = ()
    only_keys: bool = False
    agent: str | None = None
    jumps: str | None = None
    command: str | None = None
    unused: tuple[str, ...] = ()


def configured(host: str, config: Path, *, user: str | None, port: int | None) -> Configured:
    """What `config`, and then the system's configuration, say of the host that is called so on the command line of
    `ssh -l user -p port`. Raises Unusable."""
    files = tuple(file for file in (config, SYSTEM_CONFIG) if file.is_file())
    if not _any_matters(tuple(map(_version, files)), Path.home()):
        return Configured(host, port or 22, user)
    if shutil.which("ssh") is None:
        if not config.is_file():
            return Configured(host, port or 22, user)
        raise Unusable("there is no `ssh` on this machine that reads it: install OpenSSH's client")
    said = _asked(host, files, user, port)
    return _configured(said, user)


def _asked(host: str, files: tuple[Path, ...], user: str | None, port: int | None) -> dict[str, list[str]]:
    """What `ssh -G` says, by keyword in lower case."""
    arguments = [*(["-l", user] if user else []), *(["-p", str(port)] if port else []), "--", host]
    with tempfile.TemporaryDirectory(prefix="clusterup-ssh-") as folder:
        place = Path(folder) / "config"
        lines = [*(f'Include "{_escaped(file)}"' for file in files), "Host *", f"    User {_NOT_SAID}"]
        place.write_bytes(b"".join(os.fsencode(line) + b"\n" for line in lines))
        try:
            done = subprocess.run(
                ["ssh", "-G", "-F", str(place), *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=SECONDS,
                env={**os.environ, "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired:
            raise Unusable(
                f"`ssh -G {host}` did not end within {SECONDS:.0f} s: is there a `Match exec` in it?"
            ) from None
        except OSError as error:
            raise Unusable(f"ssh can't be started: {error.strerror}") from None
    if done.returncode != 0:
        words = os.fsdecode(done.stderr).strip().splitlines()
        lines = [line for line in words if not line.startswith("Pseudo-terminal ")]
        said = next((line for line in lines if "terminating" not in line), f"ssh -G ended with {done.returncode}")
        raise Unusable(said.rstrip("\r"))
    found: dict[str, list[str]] = {}
    for line in os.fsdecode(done.stdout).splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), []).append(value)
    return found


# A name that no user has, in the place of the operator's own: then it is known that nothing was said.
_NOT_SAID = "clusterup-not-said"


def _configured(said: dict[str, list[str]], asked_for: str | None) -> Configured:
    def one(keyword: str) -> str | None:
        value = said.get(keyword, [""])[0]
        return None if value.lower() in ("", "none") else value

    user = said.get("user", [_NOT_SAID])[0]
    named = None if user == _NOT_SAID else user
    tokens = _tokens(said, named or asked_for or getpass.getuser())
    files = said.get("identityfile", [])
    keys = () if tuple(files) == _usual_keys() else tuple(name for name in files if name.lower() != "none")
    return Configured(
        host=said["hostname"][0],
        port=int(said["port"][0]),
        user=named,
        keys=tuple(Path(_expanded(name, tokens)) for name in keys),
        only_keys=one("identitiesonly") == "yes",
        agent=_agent(said.get("identityagent", [""])[0], tokens),
        jumps=one("proxyjump"),
        command=one("proxycommand"),
        unused=tuple(
            name
            for keyword, name in UNUSED.items()
            if (value := one(keyword)) is not None and value != _DEFAULTS.get(keyword)
        ),
    )


def _agent(said: str, tokens: dict[str, str]) -> str | None:
    if said in ("", "SSH_AUTH_SOCK"):
        return None
    if said.lower() == "none":
        return ""
    if said.startswith("$") and not said.startswith("${"):
        return os.environ.get(said[1:], "")
    return _expanded(said, tokens)


@lru_cache(1)
def _usual_keys() -> tuple[str, ...]:
    """The files that OpenSSH tries where none is named."""
    run = ["ssh", "-G", "-F", os.devnull, "localhost"]
    done = subprocess.run(run, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=SECONDS)
    return tuple(line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("identityfile "))


def _tokens(said: dict[str, list[str]], user: str) -> dict[str, str]:
    """ssh_config(5), "TOKENS", as far as they stand in names of files."""
    local, host, port = socket.gethostname(), said["hostname"][0], said["port"][0]
    jump = said.get("proxyjump", [""])[0]
    original = said.get("host", [host])[0]
    return {
        "%": "%",
        "C": hashlib.sha1(f"{local}{host}{port}{user}{jump}".encode(), usedforsecurity=False).hexdigest(),
        "d": str(Path.home()),
        "h": host,
        "i": str(os.getuid()),
        "j": jump,
        "k": said.get("hostkeyalias", [original])[0],
        "L": local.partition(".")[0],
        "l": local,
        "n": original,
        "p": port,
        "r": user,
        "u": getpass.getuser(),
    }


def _expanded(name: str, tokens: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[2] is not None:
            return os.environ.get(found[2], "")
        return tokens.get(found[1], found[0])

    return str(Path(_TOKEN.sub(value, name)).expanduser())


def _escaped(path: Path) -> str:
    """A path as Include takes it: it is a pattern of glob(7)."""
    return re.sub(r"([\\*?\[\"])", r"\\\1", str(path.absolute()))


def _version(file: Path) -> tuple[Path, int, int]:
    """The file with what changes when it is written: time in nanoseconds, size. Zeroes where it is gone by now."""
    try:
        found = file.stat()
    except OSError:
        return file, 0, 0
    return file, found.st_mtime_ns, found.st_size


@lru_cache(8)
def _any_matters(files: tuple[tuple[Path, int, int], ...], home: Path) -> bool:  # `~` is looked up there
    """Whether any of these files, as they are now, says anything that counts: found out once for all nodes."""
    return any(_matters(file, 0) for file, *_ in files)


def _matters(file: Path, depth: int) -> bool:
    """Whether a file says anything beside what is harmless. What can't be read is for ssh to judge."""
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return True
    for line in lines:
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        keyword = re.split(r"[\s=]", words, maxsplit=1)[0].strip('"').lower()
        if keyword == "include":
            if depth >= DEEPEST_INCLUDE or any(_matters(inner, depth + 1) for inner in _included(words, file)):
                return True
        elif keyword not in HARMLESS:
            return True
    return False


def _included(line: str, file: Path) -> Iterator[Path]:
    """Files that may be included by the line; more than are is no harm."""
    try:
        patterns = shlex.split(line.replace("=", " ", 1), comments=True)[1:]
    except ValueError:
        yield file
        return
    for pattern in patterns:
        for folder in {file.parent, Path("~/.ssh").expanduser(), SYSTEM_CONFIG.parent}:
            yield from map(Path, glob(str(folder / Path(pattern).expanduser())))  # noqa: PTH207
