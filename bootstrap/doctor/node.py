"""How a node is, and what of that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from bootstrap.doctor.findings import Finding, fault, warning
from bootstrap.doctor.person import Person
from bootstrap.errors import ClusterupError
from bootstrap.facts.disks import human_size
from bootstrap.outside import parsed_json
from bootstrap.pki.x509 import expires
from bootstrap.times import in_words
from bootstrap.transport.base import Command, Transport

LOOK = Command("look how the node is", "python3 -I - health")
SECONDS = 120.0
# The kubelet takes images away from here on, and then pods.
# Source: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#hard-eviction-thresholds
DISK_SOON, DISK_NOW = 0.15, 0.10
INODES_NOW = 0.05
MEMORY_SOON = 0.05
# An apply makes certificates of ours anew before this is left of them, and a kubelet its own before a fifth is.
ENDS_SOON = timedelta(days=30)
# A service that begins again and again; one that did so once or twice is well again.
MANY_STARTS = 5
# Seconds after which a service that runs counts as well, however often it began.
SETTLED = 3600
STATE = "/var"
# Seconds. The time that a question takes is part of what is seen of a clock.
CLOCKS_APART = 5.0
KUBELETS = "/var/lib/kubelet/"


Said = Mapping[str, Any]
_Judge = Callable[[str, Any, Person], Iterator[Finding]]


def read_health(way: Transport) -> Said:
    """What the node says of itself, by what was looked at. Raises ClusterupError."""
    result = way.check(LOOK, stdin=_program(), timeout=SECONDS)
    try:
        said = parsed_json(result.text)
        if not isinstance(said, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise ClusterupError(
            "what it says of itself can't be understood",
            node=way.node,
            step="doctor",
            tried=LOOK.name,
            got=f"{error}: {result.text[:200]!r}",
            hint="run the command again; if it stays, look at what Python on that node prints",
        ) from None
    return said


def judged(node: str, said: Said, person: Person, now: datetime) -> Iterator[Finding]:
    """What is wrong with the node, of what it said. What it did not say is not judged, and what is said otherwise than
    it should be is a finding of its own."""
    for about, judge in (*JUDGES.items(), ("certificates", _certificates_at(now))):
        if about in said:
            try:
                yield from judge(node, said[about], person)
            except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                yield warning(
                    node,
                    about,
                    "what it says can't be understood",
                    why=f"{type(error).__name__}: {error}",
                    mend=person.reads(node),
                )


@cache
def _program() -> bytes:
    return (files("bootstrap.doctor") / "on_node.py").read_bytes()


def _not_known(node: str, said: Any, person: Person) -> Iterator[Finding]:
    for about, why in said.items():
        yield warning(
            node,
            str(about),
            "it can't be found out whether this is well",
            why=str(why),
            mend=f"see what the node says: {person.reads(node)}",
        )


def _memory(node: str, said: Any, person: Person) -> Iterator[Finding]:
    if said["available"] < said["total"] * MEMORY_SOON:
        yield warning(
            node,
            "memory",
            "its memory is nearly used up",
            why=f"{human_size(said['available'])} of {human_size(said['total'])} are to be had",
            mend=f"see what takes it: kubectl top pods -A, or {person.runs(node, 'ps', 'aux', '--sort=-rss')}; give "
            "the machine more, or its pods less",
        )


def _killed(node: str, said: Any, person: Person) -> Iterator[Finding]:
    if said > 0:
        yield warning(
            node,
            "memory",
            "the kernel ended processes for want of memory",
            why=f"{said} since the machine's start",
            mend=f"see which: {person.runs(node, 'journalctl', '-k', '--grep', 'oom-kill')}; a pod's limit may be too "
            "low, or the machine's memory",
        )


def _filesystems(node: str, said: Any, person: Person) -> Iterator[Finding]:
    for each in said:
        path = str(each["path"])
        if each["readonly"]:
            yield fault(
                node,
                "disks",
                f"nothing can be written to {path}",
                why="it is mounted read-only: the kernel does that when the disk fails",
                mend=f"look at what the kernel says: {person.runs(node, 'dmesg', '--level', 'err,crit')}; a disk that "
                f"failed is replaced: {person.removes(node)} (of three servers with `cluster.allow_even_servers: true` "
                "meanwhile), and put the machine with its new disk in again",
            )
        yield from _room(node, path, each["size"], each["free"], person)
        if each["inodes"] and each["inodes_free"] < each["inodes"] * INODES_NOW:
            yield fault(
                node,
                "disks",
                f"{path} has no room for more files",
                why=f"{each['inodes_free']} of {each['inodes']} inodes are free",
                mend=f"see where they are: {person.runs(node, 'du', '--inodes', '-x', '-d', '3', path)}",
            )


def _room(node: str, path: str, size: int, free: int, person: Person) -> Iterator[Finding]:
    if not size or free >= size * DISK_SOON:
        return
    why = f"{human_size(free)} of {human_size(size)} are free"
    mend = f"see what takes it: {person.runs(node, 'du', '-x', '-h', '-d', '3', path)}"
    holds_pods = path == STATE
    if free < size * DISK_NOW:
        what = f"{path} is nearly full" + (": pods are taken away, and etcd may not write" if holds_pods else "")
        yield fault(node, "disks", what, why=why, mend=mend)
    else:
        what = f"{path} fills up" + (": images are taken away to make room" if holds_pods else "")
        yield warning(node, "disks", what, why=why, mend=mend)


def _clock_was_set(node: str, said: Any, person: Person) -> Iterator[Finding]:
    if not said:
        yield warning(
            node,
            "clock",
            "nothing keeps its clock right",
            why="no time server was heard of since the machine's start",
            mend="let UDP port 123 through to one, or say one that it reaches (by DHCP; `ntp` of the node counts when "
            f"it is installed). What it tried: {person.reads(node, 'systemd-timesyncd')}",
        )


def _units(node: str, said: Any, person: Person) -> Iterator[Finding]:
    for unit in said:
        name, short = str(unit["name"]), str(unit["name"]).removesuffix(".service")
        mend = f"{person.reads(node, short)} says why"
        if unit["active"] == "failed":
            yield fault(node, "services", f"{name} has failed", why=f"its result is {unit['result']}", mend=mend)
        elif unit["active"] != "active" and unit["restarts"]:
            yield fault(
                node,
                "services",
                f"{name} does not stay up",
                why=f"started again {unit['restarts']} times, and it is {unit['active']} ({unit['sub']})",
                mend=mend,
            )
        elif unit["restarts"] >= MANY_STARTS and unit["runs_for"] < SETTLED:
            yield warning(
                node,
                "services",
                f"{name} ended by itself many times",
                why=f"started again {unit['restarts']} times; it runs for {_time(unit['runs_for'])} now",
                mend=mend,
            )


def _kernel(node: str, said: Any, person: Person) -> Iterator[Finding]:
    if said:
        yield fault(
            node,
            "disks",
            "the kernel has trouble with a disk",
            why=" / ".join(map(str, said)),
            mend=f"look at it whole: {person.runs(node, 'journalctl', '-k', '-p', 'err')}; a disk that fails is "
            "replaced before it takes data with it",
        )


def _routes(node: str, said: Any, person: Person) -> Iterator[Finding]:
    if not said["default"]:
        yield warning(
            node,
            "routes",
            "it has no way to other networks",
            why="there is no default route: images come from the bundle alone, and pods reach the cluster alone",
            mend="if that is not meant to be so: let DHCP say it (`gateway` of the node's card counts when it is "
            f"installed). What it has: {person.runs(node, 'ip', 'route')}",
        )


def _name_servers(node: str, said: Any, person: Person) -> Iterator[Finding]:
    silent = [each for each in said if each["problem"]]
    if not said:
        yield warning(
            node,
            "names",
            "it has no name server: no name is known to it and its pods",
            why="neither the inventory nor DHCP names one",
            mend="if that is not meant to be so: let DHCP name one (`dns` of the node counts when it is installed)",
        )
    elif silent:
        which = ", ".join(f"{each['address']} ({each['problem']})" for each in silent)
        yield warning(
            node,
            "names",
            f"{'none' if len(silent) == len(said) else 'not each'} of its name servers answers",
            why=which,
            mend="let UDP port 53 through to it, start it, or let DHCP name another one (`dns` of the node counts when "
            "it is installed)",
        )


def _cluster_names(node: str, said: Any, person: Person) -> Iterator[Finding]:
    if said and said["problem"]:
        yield fault(
            node,
            "names",
            "pods on it find no names",
            why=f"asked at {said['address']}: {said['problem']}",
            mend=f"see what they say: {person.reads(node, 'clusterup-dns', 'clusterup-network')}",
        )


def _certificates_at(now: datetime) -> _Judge:
    def judge(node: str, said: Any, person: Person) -> Iterator[Finding]:
        for file, pem in said.items():
            try:
                left = expires(str(pem).encode()) - now
            except ValueError:
                yield warning(
                    node,
                    "certificates",
                    "a certificate can't be read",
                    why=str(file),
                    mend=f"{person.applies()} puts back what is its own",
                )
                continue
            if left > ENDS_SOON:
                continue
            # A kubelet asks for another one while its own is good.
            asks = str(file).startswith(KUBELETS) and left > timedelta(0)
            mend = f"{person.reads(node, 'kubelet')} says why it did not ask for another one" if asks else None
            ends = f"it ends in {in_words(left)}" if left > timedelta(0) else f"it ended {in_words(-left)} ago"
            kind = warning if left > timedelta(0) else fault
            yield kind(
                node,
                "certificates",
                f"a certificate {'ends soon' if kind is warning else 'has ended'}",
                why=f"{file}: {ends}",
                mend=mend or f"{person.applies()} makes it anew",
            )

    return judge


def clocks(skews: Mapping[str, float], person: Person) -> Iterator[Finding]:
    """What is wrong between the clocks of nodes: seconds by which each is ahead of this machine's."""
    if len(skews) < 2:
        return
    slowest, fastest = min(skews, key=skews.__getitem__), max(skews, key=skews.__getitem__)
    apart = skews[fastest] - skews[slowest]
    if apart > CLOCKS_APART:
        yield warning(
            fastest,
            "clock",
            f"its clock and that of {slowest} are not the same",
            why=f"they are {apart:.0f} s apart",
            mend=f"see which of them hears of a time server: {person.reads(slowest, 'systemd-timesyncd')}",
        )


def _time(seconds: float) -> str:
    return in_words(timedelta(seconds=seconds))


JUDGES: Mapping[str, _Judge] = {
    "not_known": _not_known,
    "memory": _memory,
    "killed": _killed,
    "filesystems": _filesystems,
    "clock_was_set": _clock_was_set,
    "units": _units,
    "kernel": _kernel,
    "routes": _routes,
    "name_servers": _name_servers,
    "cluster_names": _cluster_names,
}
LOOKED_AT = ("clock", "memory", "disks", "services", "routes", "names", "certificates")
