"""All names of the cluster as they should be, kept up to date Service by Service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bootstrap.node.names.records import Service, Slice, records_of
from bootstrap.node.watch.mirror import Change

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NameChange:
    """A name has other records than before."""

    name: str
    before: frozenset[str]
    after: frozenset[str]


class Names:
    """The names of every Service of the cluster whose domain is `domain` (without a dot at its end).

    A name can be that of several Services: the address of a pod that stands behind two of them.
    """

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._services: dict[str, Service] = {}
        self._slices: dict[str, dict[str, Slice]] = {}
        # Of each name, the Services that it comes from, with the records that are theirs.
        self._holders: dict[str, tuple[tuple[str, frozenset[str]], ...]] = {}
        self._names_of: dict[str, tuple[str, ...]] = {}
        # Those that point to another name of the cluster have that one's records: they follow it.
        self._following: set[str] = set()

    def wanted(self, name: str) -> frozenset[str]:
        """The records of a name."""
        return NOTHING.union(*(records for _, records in self._holders.get(name, ())))

    def __iter__(self) -> Iterator[tuple[str, frozenset[str]]]:
        """All names and their records."""
        return ((name, self.wanted(name)) for name in self._holders)

    def update(self, services: Iterable[Change[Service]], slices: Iterable[Change[Slice]]) -> list[NameChange]:
        """Take over what has changed in the cluster, and return which names have other records now."""
        touched = {change.key for change in services}
        for service in services:
            if service.after is None:
                del self._services[service.key]
            else:
                self._services[service.key] = service.after
        for part in slices:
            touched |= set(self._take_slice(part))
        before: dict[str, frozenset[str]] = {}
        for key in touched:
            self._renew(key, before)
        for key in sorted(self._following):
            self._renew(key, before)
        changes = (NameChange(name, old, self.wanted(name)) for name, old in before.items())
        return [change for change in changes if change.before != change.after]

    def _take_slice(self, change: Change[Slice]) -> Iterator[str]:
        """Put a slice in its place; the Services that it was and is of."""
        if change.before is not None:
            of_service = self._slices.get(change.before.service, {})
            of_service.pop(change.key, None)
            if not of_service:
                self._slices.pop(change.before.service, None)
            yield change.before.service
        if change.after is not None:
            self._slices.setdefault(change.after.service, {})[change.key] = change.after
            yield change.after.service

    def _renew(self, key: str, before: dict[str, frozenset[str]]) -> None:
        """Calculate the names of a Service again; those that have other records are added to `before` with what they
        had."""
        service = self._services.get(key)
        records = {} if service is None else self._records(key, service)
        old = self._names_of.get(key, ())
        for name in {*old, *records}:
            holders = self._holders.get(name, ())
            others = tuple(holder for holder in holders if holder[0] != key)
            mine = ((key, records[name]),) if name in records else ()
            if {*others, *mine} == set(holders):
                continue
            before.setdefault(name, self.wanted(name))
            if others or mine:
                self._holders[name] = (*others, *mine)
            else:
                del self._holders[name]
        if records:
            self._names_of[key] = tuple(records)
        else:
            self._names_of.pop(key, None)

    def _records(self, key: str, service: Service) -> dict[str, frozenset[str]]:
        self._following.discard(key)
        found = records_of(service, self._slices.get(key, {}).values(), self._domain)
        if not service.external.endswith(f".{self._domain}."):
            return found
        # unbound asks others for what a CNAME points to, and nobody else knows the cluster's own names.
        self._following.add(key)
        there = self._end_of(service.external, {key})
        return {name: there for name in found if there}

    def _end_of(self, name: str, seen: set[str]) -> frozenset[str]:
        """The records at the end of a chain of names; none where it is a circle."""
        if not name.endswith(f".{self._domain}."):
            return frozenset({f"CNAME {name}"})
        labels = name.split(".")
        key = f"{labels[1]}/{labels[0]}"
        service = self._services.get(key)
        if service is None or not service.external or name != self._own_name(service):
            return self.wanted(name)
        return NOTHING if key in seen else self._end_of(service.external, seen | {key})

    def _own_name(self, service: Service) -> str:
        return f"{service.name}.{service.namespace}.svc.{self._domain}."
