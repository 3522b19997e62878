"""This server's member of etcd: added as a learner, started, and given its vote when it has caught up.

It goes on from whatever is there; see bootstrap/steps/etcd.py, which does the same from an operator's machine. etcd is
asked over its JSON gateway: the standard library speaks no gRPC.
Source: https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/, https://etcd.io/docs/v3.5/learning/design-learner/
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from asking import Api
from description import File
from machine import Machine, run, write
from trouble import Trouble
from trust import Server

DATA = "/var/lib/etcd"
BIRTH = "/var/lib/clusterup/etcd-birth"
CLIENT_PORT, PEER_PORT = 2379, 2380
SETTLE_SECONDS = 120.0
PROMOTE_SECONDS = 300.0
EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Member:
    """A member of etcd; one that has not started yet has no name."""

    id: str
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool


@dataclass(frozen=True)
class Own:
    """What this server is called, and where its peers reach it."""

    name: str
    address: str
    peer_port: int = PEER_PORT

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.peer_port}"

    def among(self, members: Sequence[Member]) -> Member | None:
        """The member that was added for it. One of its name at another address is somebody else's."""
        return next((each for each in members if self.url in each.peer_urls and each.name in ("", self.name)), None)


class Etcd:
    """The quorum, asked at one of the `servers`, with the certificate that `context` shows."""

    def __init__(self, servers: Sequence[Server], context: ssl.SSLContext) -> None:
        self._servers, self._context = tuple(servers), context

    def members(self) -> tuple[Member, ...]:
        """All members, as the quorum has them. Raises Trouble where it does not answer."""
        found = self.ask("/v3/cluster/member/list", {"linearizable": True})["members"]
        return tuple(
            Member(
                str(each["ID"]),
                str(each.get("name", "")),
                tuple(each.get("peerURLs") or ()),
                tuple(each.get("clientURLs") or ()),
                bool(each.get("isLearner")),
            )
            for each in found
        )

    def add_learner(self, url: str) -> None:
        """Add a member without a vote. Raises Trouble where that can't be done now."""
        self.ask("/v3/cluster/member/add", {"peerURLs": [url], "isLearner": True})

    def promote(self, member: Member) -> None:
        """Give a learner its vote. Raises Trouble where it has not caught up yet."""
        self.ask("/v3/cluster/member/promote", {"ID": member.id})

    def remove(self, member: Member) -> None:
        """Remove a member. Raises Trouble where that can't be done now."""
        self.ask("/v3/cluster/member/remove", {"ID": member.id})

    def healthy(self, member: Member) -> bool:
        """Whether the member answers through the quorum."""
        for url in member.client_urls:
            found = urlsplit(url)
            place = Server(found.hostname or "", found.port or CLIENT_PORT)
            try:
                status, said = Api(place, self._context, {}).get("/health")
            except (OSError, http.client.HTTPException, ValueError):
                continue
            if status == 200 and said.get("health") == "true":
                return True
        return False

    def ask(self, path: str, body: object) -> Any:
        """What a server says to `body`, JSON, at a path of etcd's gateway. Raises Trouble where none does."""
        said = []
        for server in self._servers:
            try:
                status, found = Api(server, self._context, {}).send("POST", path, body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                said.append(f"{server}: {error or type(error).__name__}")
                continue
            if status == 200:
                return found
            said.append(f"{server}: {found.get('message') or found.get('error') or status}")
        raise Trouble(
            "etcd does not do what it was asked",
            tried=f"{path.rpartition('/')[2]} at {', '.join(map(str, self._servers))}",
            got="; ".join(said),
            hint="are most of the servers up (`systemctl status etcd` there), and does a firewall let this machine "
            "through to that port? The same command goes on",
            passing=True,
        )


def require_room(etcd: Etcd, own: Own) -> None:
    """Raise Trouble where one more member would make the quorum worse, or is not taken now. Whoever is a member already
    has its room."""
    members = etcd.members()
    if own.among(members) is not None:
        return
    for member in members:
        name = member.name or ", ".join(member.peer_urls)
        if member.learner:
            raise Trouble(
                f"{name} waits for its vote in etcd, and there is one learner at a time",
                hint=f"see that {name} is up, and that its join ends; `clusterup remove` of the operator takes it out",
                passing=True,
            )
        if not etcd.healthy(member):
            raise Trouble(
                f"{name} is a member of etcd and does not answer; one more member would make the quorum worse",
                tried=f"/health at {', '.join(member.client_urls)}",
                hint=f"start {name}, or have the cluster's operator take it out (`clusterup remove`)",
                passing=True,
            )


def become_member(etcd: Etcd, own: Own, machine: Machine, start: Callable[[], None]) -> None:
    """Make this machine's etcd, which `start` starts, a member with a vote. Raises Trouble and what `start` does."""
    if _has_data(machine) and own.among(etcd.members()) is None:
        _set_aside(machine)
    if not _has_data(machine):
        members = _with_own(etcd, own)
        named = ",".join(f"{member.name or own.name}={url}" for member in members for url in member.peer_urls[:1])
        text = f"ETCD_INITIAL_CLUSTER={named}\nETCD_INITIAL_CLUSTER_STATE=existing\n"
        write(machine, File(BIRTH, 0o644, text.encode()))
    start()
    machine.say("waiting until etcd has caught up with the others")

    def promoted() -> bool:
        mine = own.among(etcd.members())
        if mine is None:
            raise Trouble(
                "somebody has taken this server out of etcd meanwhile",
                hint="ask the cluster's operator; then the same command begins anew",
            )
        if mine.learner:
            etcd.promote(mine)
        return True

    _until(promoted, PROMOTE_SECONDS)
    machine.say("it has its vote in etcd")


def take_back(etcd: Etcd, own: Own) -> str:
    """Take this server's learner out of etcd again; what came of it, in words."""

    def gone() -> bool:
        mine = own.among(etcd.members())
        if mine is None or not mine.learner:
            return True
        etcd.remove(mine)
        return own.among(etcd.members()) is None

    try:
        _until(gone, SETTLE_SECONDS)
        mine = own.among(etcd.members())
    except Trouble:
        return "whether it is a learner in etcd is not known: the cluster's operator sees it with `clusterup status`"
    return "it has a vote in etcd, and stays there" if mine else "it is no member of etcd"


def _with_own(etcd: Etcd, own: Own) -> tuple[Member, ...]:
    """All members, this server added as a learner; without what it was when it had data, which is gone: the quorum must
    not wait for what it promised."""

    def added() -> bool:
        members = etcd.members()
        mine = own.among(members)
        if mine is not None and mine.name:
            etcd.remove(mine)
            mine = None
        if mine is None:
            etcd.add_learner(own.url)
        return True

    _until(added, SETTLE_SECONDS)
    return etcd.members()


def _has_data(machine: Machine) -> bool:
    return machine.place(f"{DATA}/member").exists()


def _set_aside(machine: Machine) -> None:
    """What a removed member has kept is of no use to anybody."""
    machine.say("setting aside the data of a member that was removed")
    run("systemctl", "stop", "etcd.service")
    place = machine.place(DATA)
    place.rename(place.with_name(f"{place.name}.removed-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"))


def _until(change: Callable[[], bool], seconds: float) -> None:
    """Make a change of the membership as soon as the cluster has got over the one before. Raises the last Trouble."""
    for last in _again(seconds):
        try:
            if change():
                return
        except Trouble as trouble:
            if last or not trouble.passing:
                raise


def _again(seconds: float) -> Iterator[bool]:
    """Once a second for that long; whether it is the last time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield False
        time.sleep(EVERY_SECONDS)
    yield True
