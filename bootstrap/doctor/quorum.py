"""What is wrong with a cluster's etcd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bootstrap.doctor.findings import CLUSTER, Finding, fault, warning
from bootstrap.doctor.person import Person
from bootstrap.operations.status import ClusterStatus, MemberHealth

# What etcd takes where nobody says another limit, and how much of it may be used before somebody should know.
# Source: https://etcd.io/docs/v3.5/op-guide/maintenance/#space-quota
QUOTA, NEARLY = 2 << 30, 0.8
QUOTA_FLAG = "quota-backend-bytes"
# Entries of the log. A member that is well is a few behind.
FAR_BEHIND = 5000


def judged_quorum(status: ClusterStatus, arguments: Mapping[str, str], person: Person) -> Iterator[Finding]:
    """What is wrong with etcd as its members say it; `arguments` are those that the inventory gives it."""
    if not status.etcd:
        yield fault(
            CLUSTER,
            "etcd",
            "no member of etcd answers: there is no API",
            why="none of the servers that were reached runs one that does",
            mend=f"start the servers; a majority of them has to be up. {person.applies()} starts what is off",
        )
        return
    yield from _votes(status.etcd, person)
    for member in status.etcd:
        yield from _member(member, person)
        yield from _room(member, arguments, person)
    releases = {member.name: member.version for member in status.etcd if member.version}
    if len(set(releases.values())) > 1:
        yield warning(
            CLUSTER,
            "etcd",
            "its members are of several releases",
            why=", ".join(f"{name} {release}" for name, release in sorted(releases.items())),
            mend=f"{person.applies()} gives all of them the bundle's",
        )


def _votes(members: tuple[MemberHealth, ...], person: Person) -> Iterator[Finding]:
    voters = [member for member in members if member.voter]
    answering = [member for member in voters if member.lag is not None]
    need = len(voters) // 2 + 1
    if len(answering) < need:
        yield fault(
            CLUSTER,
            "etcd",
            "there is no quorum: nothing can be written, and the API does not answer",
            why=f"{len(answering)} of {len(voters)} members with a vote answer, and {need} have to",
            mend="start the servers whose members do not answer (below); data that is gone for good needs a backup",
        )
    elif len(answering) == need and len(voters) > 1:
        away = ", ".join(member.name for member in voters if member.lag is None)
        yield warning(
            CLUSTER,
            "etcd",
            "no further server may fail",
            why=f"{len(answering)} of {len(voters)} members with a vote answer, and {need} have to"
            + (f"; not: {away}" if away else ""),
            mend="start what is off (below)" if away else "a third server: two of them are no safer than one",
        )
    if not any(member.leader for member in members):
        yield fault(
            CLUSTER,
            "etcd",
            "it has no leader",
            why="no member that answers knows one",
            mend="wait a minute: they choose one by themselves when a majority can talk to each other; then look at "
            + " and ".join(person.reads(member.name, "etcd") for member in members[:1]),
        )


def _member(member: MemberHealth, person: Person) -> Iterator[Finding]:
    if member.problem:
        yield fault(
            member.name, "etcd", "its member of etcd does not answer", why=member.problem,
            mend=f"start the server where it is off; {person.reads(member.name, 'etcd')}",
        )  # fmt: skip
    elif not member.voter:
        yield warning(
            member.name, "etcd", "its member of etcd has no vote yet", why="it is a learner, which joins",
            mend=f"{person.applies()} waits until it has caught up, and gives it its vote",
        )  # fmt: skip
    elif member.lag is not None and member.lag > FAR_BEHIND:
        yield warning(
            member.name, "etcd", "its member of etcd is far behind", why=f"{member.lag} entries",
            mend=f"its disk or its network is slow: {person.reads(member.name, 'etcd')}",
        )  # fmt: skip
    for alarm in member.alarms:
        yield _alarm(member.name, alarm, person)


def _alarm(name: str, alarm: str, person: Person) -> Finding:
    if "NOSPACE" in alarm:
        return fault(
            name,
            "etcd",
            "etcd takes no more writes: its database is full",
            why=alarm,
            mend=f"give it more room: kubernetes.etcd_args.{QUOTA_FLAG}, {person.applies()}; delete what fills it "
            f"(events, old objects); then, on one server after the other: {person.etcdctl(name, 'defrag')}; and last "
            f"{person.etcdctl(name, 'alarm disarm')}",
        )
    if "CORRUPT" in alarm:
        return fault(
            name,
            "etcd",
            "its member has other data than the others",
            why=alarm,
            mend=f"look at its disk, and let it get the others' data: {person.removes(name)}, then put it in again",
        )
    return fault(name, "etcd", "its member raises an alarm", why=alarm, mend=person.reads(name, "etcd"))


def _room(member: MemberHealth, arguments: Mapping[str, str], person: Person) -> Iterator[Finding]:
    said = arguments.get(QUOTA_FLAG, "")
    quota = int(said) if said.isascii() and said.isdigit() and int(said) > 0 else QUOTA
    if member.db_size is not None and member.db_size > quota * NEARLY:
        yield warning(
            member.name,
            "etcd",
            "its database is nearly full",
            why=f"{member.db_size / 2**20:.0f} MiB of {quota / 2**20:.0f} MiB",
            mend=f"see what fills it (kubectl get --raw /metrics | grep apiserver_storage_objects), or give it more: "
            f"kubernetes.etcd_args.{QUOTA_FLAG}, {person.applies()}",
        )
