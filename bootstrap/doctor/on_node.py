"""Runs on a node: prints how the machine is, as JSON, for `bootstrap.doctor.node`.

Its text is sent to the node's Python, and is of the standard library alone. It reads, and asks name servers; it writes
nothing. What can't be known of a machine is left out.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

FILE_SYSTEMS = ("/var", "/run", "/tmp")  # noqa: S108 - looked at, and nothing is put there
CERTIFICATES = ("/etc/kubernetes/pki/*.crt", "/etc/kubernetes/pki/etcd/*.crt", "/var/lib/kubelet/pki/*-current.pem")
KUBECONFIGS = ("/etc/kubernetes/*.conf",)
# What files of authorities end in; they are the same everywhere, and the operator has them.
AUTHORITY = "ca.crt"
NONE = "none"
# The first of these that names another machine: systemd-resolved names itself in the first one.
RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
ON_ITSELF = "127."
# What the node's agent looks after.
AGENT = Path("/etc/clusterup/network.json")
# There when the clock was set from a time server since the machine's start.
# Source: systemd-timesyncd.service(8)
CLOCK_WAS_SET = "/run/systemd/timesync/synchronized"
KERNEL_TROUBLE = re.compile(r"I/O error|EXT4-fs error|XFS .*(error|shutdown)|Remounting filesystem read-only")
DNS_SECONDS = 2.0
DNS_TRIES = 2
MOST_LINES = 5
SECONDS = 20.0


def main() -> int:
    """Print everything that can be known."""
    found: dict[str, object] = {}
    for name, look in LOOKS.items():
        try:
            found[name] = look()
        # Whatever a machine lacks or says: the other answers are worth having.
        except Exception as error:
            found.setdefault("not_known", {})[name] = f"{type(error).__name__}: {error}"  # type: ignore[index]
    print(json.dumps(found))
    return 0


def memory() -> Mapping[str, int]:
    """Bytes in all, and those that are to be had."""
    said = dict(re.findall(r"^(\w+): +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE))
    return {"total": int(said["MemTotal"]) * 1024, "available": int(said["MemAvailable"]) * 1024}


def killed() -> int:
    """How many processes were ended for want of memory since the machine's start."""
    return int(dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines()).get("oom_kill", "0"))


def filesystems() -> list[Mapping[str, object]]:
    """Bytes and inodes of those that are written to, once each."""
    seen: dict[int, Mapping[str, object]] = {}
    for path in FILE_SYSTEMS:
        if not Path(path).is_dir():
            continue
        there = os.statvfs(path)
        seen.setdefault(
            Path(path).stat().st_dev,
            {
                "path": path,
                "size": there.f_blocks * there.f_frsize,
                "free": there.f_bavail * there.f_frsize,
                "inodes": there.f_files,
                "inodes_free": there.f_favail,
                "readonly": bool(there.f_flag & os.ST_RDONLY),
            },
        )
    return list(seen.values())


def clock_was_set() -> bool:
    """Whether a time server was heard of since the machine's start."""
    return Path(CLOCK_WAS_SET).exists()


def units() -> list[Mapping[str, object]]:
    """The services that failed, or that were started again by themselves."""
    keys = {"name": "Id", "active": "ActiveState", "sub": "SubState", "result": "Result"}
    wanted = ",".join((*keys.values(), "NRestarts", "ActiveEnterTimestampMonotonic"))
    found: list[Mapping[str, object]] = []
    for block in _said("systemctl", "show", f"--property={wanted}", "*.service").strip().split("\n\n"):
        unit = dict(line.partition("=")[::2] for line in block.splitlines())
        restarts, began = (int(unit.get(name) or 0) for name in ("NRestarts", "ActiveEnterTimestampMonotonic"))
        # A console begins again whenever somebody leaves it.
        if (restarts or unit.get("ActiveState") == "failed") and "getty@" not in unit.get("Id", ""):
            runs_for = round(time.clock_gettime(time.CLOCK_MONOTONIC) - began / 1e6)
            said = {key: unit.get(name, "") for key, name in keys.items()}
            found.append({**said, "restarts": restarts, "runs_for": runs_for})
    return found


def kernel() -> list[str]:
    """What the kernel says of disks that do not work, since the machine's start; the newest."""
    said = _said("journalctl", "--dmesg", "--boot", "--no-pager", "--output=cat", "--priority=warning")
    return [line for line in said.splitlines() if KERNEL_TROUBLE.search(line)][-MOST_LINES:]


def routes() -> Mapping[str, object]:
    """Where packets go: whether there is a way out."""
    listed = (_said("ip", family, "-json", "route", "show", "table", "main") for family in ("-4", "-6"))
    return {"default": any(each.get("dst") == "default" for said in listed for each in json.loads(said or "[]"))}


def name_servers() -> list[Mapping[str, object]]:
    """Those that this machine asks, and whether each answers."""
    addresses: list[str] = []
    for file in map(Path, RESOLVERS):
        addresses = re.findall(r"^nameserver\s+(\S+)", file.read_text(), re.MULTILINE) if file.exists() else []
        if addresses and not all(each.startswith(ON_ITSELF) for each in addresses):
            break
    return [{"address": address, "problem": asked(address)} for address in addresses]


def cluster_names() -> Mapping[str, str]:
    """Where pods of this node ask for names, and why nobody answers there; nothing where somebody else is to answer."""
    dns = json.loads(AGENT.read_text()).get("dns") if AGENT.exists() else None
    return {"address": dns["address"], "problem": not_found(dns["address"], dns["domain"])} if dns else {}


def not_found(address: str, domain: str) -> str:
    """Why the name that every cluster has is not answered there; empty where it is. Source: RFC 1035, section 4.1"""
    name = f"kubernetes.default.svc.{domain}"
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = os.urandom(2) + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(DNS_SECONDS)
        try:
            asking.connect((address, 53))
            asking.send(question)
            answer = asking.recv(512)
        except TimeoutError:
            return f"no answer within {DNS_SECONDS:.0f} s"
        except OSError as error:
            return error.strerror or str(error)
    code, answers = answer[3] & 15, struct.unpack("!H", answer[6:8])[0]
    return "" if code == 0 and answers else f"{name} is not known there (answer code {code})"


def asked(address: str, port: int = 53) -> str:
    """Ask a name server who serves the root: empty when it answers, whatever it answers; else why it does not.

    Source: RFC 1035, section 4.1
    """
    host, _, zone = address.partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    number = struct.unpack("!H", os.urandom(2))[0]
    question = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!HH", 2, 1)
    problem = ""
    for _ in range(DNS_TRIES):
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(DNS_SECONDS)
            try:
                place = socket.getaddrinfo(f"{host}%{zone}" if zone else host, port, family, socket.SOCK_DGRAM)[0][4]
                asking.connect(place)
                asking.send(question)
                if asking.recv(512)[:2] == question[:2]:
                    return ""
                problem = "it answers something else"
            except TimeoutError:
                problem = f"no answer within {DNS_SECONDS:.0f} s"
            except OSError as error:
                problem = error.strerror or str(error)
    return problem


def certificates() -> Mapping[str, str]:
    """Certificates (PEM) by their files, without those of authorities. Nothing of a key is read out of any; one that
    can't be read is empty."""
    found = {}
    for pattern, take in ((CERTIFICATES, _certificate_in), (KUBECONFIGS, _certificate_of_client)):
        for file in _matching(pattern):
            try:
                found[str(file)] = take(file.read_text(errors="replace"))
            except (OSError, ValueError):
                found[str(file)] = ""
    return {file: pem for file, pem in found.items() if not file.endswith(AUTHORITY) and pem != NONE}


def _certificate_of_client(kubeconfig: str) -> str:
    """The certificate in a kubeconfig that holds one itself; where it names a file, that is looked at by its name."""
    found = re.search(r"client-certificate-data[\"']?:\s*[\"']?([A-Za-z0-9+/=]+)", kubeconfig)
    return _certificate_in(base64.b64decode(found[1], validate=True).decode(errors="replace")) if found else NONE


def _certificate_in(text: str) -> str:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    found = re.search(f"{begin}[^-]*{end}", text)
    return f"{found[0]}\n" if found else ""


def _matching(patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))


def _said(*argv: str) -> str:
    """What a program says. Raises CalledProcessError where it fails, OSError, TimeoutExpired."""
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        errors="replace", timeout=SECONDS, check=True,
    ).stdout  # fmt: skip


LOOKS: Mapping[str, Callable[[], object]] = {
    each.__name__: each
    for each in (
        memory,
        killed,
        filesystems,
        clock_was_set,
        units,
        kernel,
        routes,
        name_servers,
        cluster_names,
        certificates,
    )
}


if __name__ == "__main__":
    sys.exit(main())
