"""Tells unbound, which answers on this node, what the names of the cluster are.

unbound can take a name away and add records, and cannot change one in a single step: between the two a pod would be
told that the name does not exist. So for the moment of a change the new records stand in a view, which is looked into
first, and which is empty at all other times.
Source: unbound-control(8), unbound.conf(5) "View Options"
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from bootstrap.node.names.names import NameChange
from bootstrap.node.names.records import TTL, address_record

VIEW = "changing"
ALIAS = "CNAME "
SECONDS = 30.0
# What unbound says of itself where it does not do what it is told.
REFUSED = "error"
# Records of these types come from Services; all others are in the configuration.
_OURS = ("A", "AAAA", "CNAME", "PTR", "SRV")
Run = Callable[[tuple[str, ...], str], str]


class NotRunning(OSError):
    """unbound does not answer, or does not do what it is told."""


@dataclass(frozen=True, slots=True)
class Control:
    """unbound-control with the settings in the file `path`. Source: unbound-control(8)"""

    path: str
    program: str = "unbound-control"

    def __call__(self, words: tuple[str, ...], given: str = "") -> str:
        """What it says to a command; `given` is its standard input. Raises NotRunning."""
        argv = (self.program, "-c", self.path, *words)
        try:
            answer = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotRunning(f"{' '.join(words[:1])}: {error}") from None
        if answer.returncode or answer.stdout.startswith(REFUSED):
            raise NotRunning(f"{' '.join(words[:1])}: {(answer.stderr or answer.stdout).strip()[:200]}")
        return answer.stdout


def line_of(name: str, record: str) -> str:
    """A record as `local_data` and a zone file take it."""
    kind, _, data = record.partition(" ")
    return f"{name} {TTL} IN {kind} {data}"


def change(run: Run, changes: Iterable[NameChange], wanted: Callable[[str], frozenset[str]]) -> None:
    """Make unbound's answers what they should be after `changes`; `wanted` gives all records of any name. A name that
    is there before and after is there all the time. Raises NotRunning: what of it was done is not known then."""
    found = list(changes)
    aliases = [each for each in found if _is_alias(each.before) or _is_alias(each.after)]
    plain = [each for each in found if each not in aliases]
    gone = [each.name for each in plain if not each.after]
    others = [each for each in plain if each.after and each.before - each.after]
    shown = _shown([each.name for each in others], wanted)
    if others:
        _add(run, shown, f"view_local_datas {VIEW}")
    _remove(run, (*gone, *(each.name for each in others), *(each.name for each in aliases if each.before)))
    for each in aliases:
        if _is_alias(each.before):
            run(("local_zone_remove", each.name), "")
    grown = {each.name: each.after - each.before for each in plain if not each.before - each.after}
    _add(run, grown | {each.name: each.after for each in others}, "local_datas")
    _remove(run, shown, f"view_local_datas_remove {VIEW}")
    for each in aliases:
        _add_alias(run, each)


def _is_alias(records: frozenset[str]) -> bool:
    return any(record.startswith(ALIAS) for record in records)


def _shown(names: Iterable[str], wanted: Callable[[str], frozenset[str]]) -> dict[str, frozenset[str]]:
    """What the view has to hold for these names. A name in it makes those above it exist there as well, empty: they
    need their own records beside it."""
    above = {parent for name in names for parent in (name, *_above(name))}
    found = {name: wanted(name) for name in above}
    return {name: records for name, records in found.items() if records and not _is_alias(records)}


def _above(name: str) -> Iterator[str]:
    rest = name.partition(".")[2]
    while rest:
        yield rest
        rest = rest.partition(".")[2]


def _add(run: Run, records: Mapping[str, Iterable[str]], command: str) -> None:
    """Those above first: a name never hides what is above it."""
    lines = [line_of(name, each) for name in sorted(records, key=_depth) for each in sorted(records[name])]
    if lines:
        run(tuple(command.split()), "".join(f"{line}\n" for line in lines))


def _remove(run: Run, names: Iterable[str], command: str = "local_datas_remove") -> None:
    """Those below first, for the same reason."""
    lines = sorted(names, key=_depth, reverse=True)
    if lines:
        run(tuple(command.split()), "".join(f"{line}\n" for line in lines))


def _depth(name: str) -> int:
    return name.count(".")


def _add_alias(run: Run, each: NameChange) -> None:
    """A name that points to another one is a zone of its own: only there does unbound look up where it points to."""
    if _is_alias(each.after):
        run(("local_zone", each.name, "redirect"), "")
    _add(run, {each.name: each.after}, "local_datas")


def there(run: Run, domain: str) -> dict[str, frozenset[str]]:
    """The names of Services that unbound knows, with their records. Raises NotRunning."""
    found: dict[str, set[str]] = {}
    for line in run(("list_local_data",), "").splitlines():
        fields = line.split(maxsplit=4)
        if len(fields) == 5 and fields[3] in _OURS:
            name, kind, data = fields[0].lower(), fields[3], fields[4]
            if is_of_services(name, kind, data, domain):
                found.setdefault(name, set()).add(_as_written(kind, data.lower()))
    return {name: frozenset(records) for name, records in found.items()}


def _as_written(kind: str, data: str) -> str:
    """The record as `records_of` writes it: an address of version 6 has more than one form."""
    return address_record(str(ip_address(data))) if kind in ("A", "AAAA") else f"{kind} {data}"


def tidy(run: Run, domain: str, wanted: Callable[[str], frozenset[str]]) -> None:
    """Take away what a change left that did not come to its end: names in the view, and zones of names that no longer
    point elsewhere. Raises NotRunning."""
    left = {line.split()[0] for line in run(("view_list_local_data", VIEW), "").splitlines() if line.split()}
    _remove(run, left, f"view_local_datas_remove {VIEW}")
    for line in run(("list_local_zones",), "").splitlines():
        name, _, kind = line.strip().lower().partition(" ")
        if kind == "redirect" and name.endswith(f".svc.{domain}.") and not _is_alias(wanted(name)):
            run(("local_zone_remove", name), "")


def is_of_services(name: str, kind: str, data: str, domain: str) -> bool:
    """Whether a record comes from a Service, and not out of the configuration."""
    services = f".svc.{domain}."
    return name.endswith(services) or (kind == "PTR" and data.lower().endswith(services))


def differences(
    found: Mapping[str, frozenset[str]], wanted: Iterable[tuple[str, frozenset[str]]]
) -> Iterator[NameChange]:
    """What has to change so that the names that were `found` are the `wanted` ones."""
    should = dict(wanted)
    for name in {*found, *should}:
        before, after = found.get(name, frozenset()), should.get(name, frozenset())
        if before != after:
            yield NameChange(name, before, after)
