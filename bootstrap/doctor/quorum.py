"""What is wrong with a cluster's etcd."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from bootstrap.doctor.findings import CLUSTER, Finding, fault, warning
from bootstrap.doctor.person import Person
from bootstrap.facts.disks import human_size
from bootstrap.operations.status import ClusterStatus, MemberHealth

# What etcd takes where nobody says another limit, and how much of it may be used before somebody should know.
# Source: https://etcd.io/docs/v3.5/op-guide/maintenance/#space-quota
QUOTA, NEARLY = 2 << 30, 0.8
QUOTA_FLAG = "quota-backend-bytes"
# Entries of the log. A member that is well is a few behind.
FAR_BEHIND = 5000
# The API server's own counts of what it keeps, whatever its release calls them.
COUNTS = "kubectl get --raw /metrics | grep -E 'apiserver_(storage|resource)_objects|etcd_object_counts'"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the inventory says of etcd: the names of its servers, and the flags that it gives it."""

    servers: Collection[str]
    flags: Mapping[str, str]

    @property
    def quota(self) -> int:
        """How large the database may get, in bytes."""
        said = self.flags.get(QUOTA_FLAG, "")
        return int(said) if said.isascii() and said.isdigit() and 0 < len(said) < 20 and int(said) > 0 else QUOTA


def judged_quorum(status: ClusterStatus, wanted: Wanted, person: Person) -> Iterator[Finding]:
    """What is wrong with etcd, as those of its members say it that could be asked."""
    if not status.etcd:
        yield fault(
            CLUSTER,
            "etcd",
            "no member of etcd answers: there is no API",
            why="none of the servers that were reached runs one that does",
            mend=f"start the servers; a majority of them has to be up. {person.applies()} starts what is off",
        )
        return
    yield from _votes(status.etcd, wanted, person)
    for member in status.etcd:
        yield from _member(member, wanted, person)
        yield from _room(member, wanted, person)
    for alarm in status.alarms:
        yield _alarm(CLUSTER, alarm, next(iter(wanted.servers), ""), person)
    releases = {member.name: member.version for member in status.etcd if member.version}
    if len(set(releases.values())) > 1:
        yield warning(
            CLUSTER,
            "etcd",
            "its members are of several releases",
            why=", ".join(f"{name} {release}" for name, release in sorted(releases.items())),
            mend=f"{person.applies()} gives all of them the bundle's",
        )


def _votes(members: tuple[MemberHealth, ...], wanted: Wanted, person: Person) -> Iterator[Finding]:
    voters = [member for member in members if member.voter]
    asked = [member for member in voters if member.lag is not None]
    need = len(voters) // 2 + 1
    why = f"{len(asked)} of {len(voters)} members with a vote could be asked, and {need} have to be there"
    # A member knows a leader only while a majority follows one, whoever of them could be asked from here.
    if any(member.leader for member in members):
        away = [member.name for member in voters if member.lag is None and member.name in wanted.servers]
        if len(voters) == 2 or (away and len(asked) <= need):
            yield warning(
                CLUSTER,
                "etcd",
                "no further server may fail, as far as can be seen from here",
                why=why + (f"; not: {', '.join(away)}" if away else ""),
                mend="start what is off (below)" if away else "a third server: two of them are no safer than one",
            )
    elif len(asked) < need:
        yield fault(
            CLUSTER,
            "etcd",
            "there is no quorum: nothing can be written, and the API does not answer",
            why=why,
            mend="start the servers whose members do not answer (below); data that is gone for good needs a backup",
        )
    else:
        yield fault(
            CLUSTER,
            "etcd",
            "it has no leader",
            why="no member that answers knows one",
            mend="wait a minute: they choose one by themselves when a majority can talk to each other; then look at "
            + person.reads(asked[0].name, "etcd"),
        )


def _member(member: MemberHealth, wanted: Wanted, person: Person) -> Iterator[Finding]:
    if member.problem and member.name not in wanted.servers:
        yield warning(
            CLUSTER, "etcd", f"a member of etcd is not in the inventory: {member.name}", why=member.problem,
            mend="a server that joined with a token is in that of whoever made the token: clusterup adopt "
            "root@SERVER --refresh brings it here; one that is gone for good is taken out with clusterup remove",
        )  # fmt: skip
    elif member.problem:
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
        yield _alarm(member.name, alarm, member.name, person)


def _alarm(where: str, alarm: str, server: str, person: Person) -> Finding:
    """What an alarm means; `server` is where something can be done about it."""
    if alarm.startswith("NOSPACE"):
        return fault(
            where,
            "etcd",
            "etcd takes no more writes: its database is full",
            why=f"it raises the alarm {alarm}",
            mend=f"see what fills it ({COUNTS}) and delete that; then on one server after the other: "
            f"{person.frees_etcd(server)}; to give it more room, kubernetes.etcd_args.{QUOTA_FLAG}, and "
            f"{person.applies()}, when it takes writes again",
        )
    if alarm.startswith("CORRUPT"):
        return fault(
            where,
            "etcd",
            "its member has other data than the others: etcd takes no writes until somebody decides",
            why=f"it raises the alarm {alarm}",
            mend="stop etcd on that server, and look at its disk: no command brings it the others' data by itself yet "
            "(etcd's documentation: Data corruption)",
        )
    return fault(where, "etcd", "it raises an alarm", why=alarm, mend=person.reads(server, "etcd"))


def _room(member: MemberHealth, wanted: Wanted, person: Person) -> Iterator[Finding]:
    if member.db_size is not None and member.db_size > wanted.quota * NEARLY:
        yield warning(
            member.name,
            "etcd",
            "its database is nearly full",
            why=f"{human_size(member.db_size)} of {human_size(wanted.quota)}",
            mend=f"see what fills it ({COUNTS}), or give it more room: kubernetes.etcd_args.{QUOTA_FLAG}, "
            f"{person.applies()}",
        )
