"""Keeps what unbound answers on this node as the cluster has it: names of Services, and name servers for the rest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bootstrap.node.names.known import NOBODY, known
from bootstrap.node.names.names import NameChange, Names
from bootstrap.node.names.records import Service, Slice
from bootstrap.node.names.resolvers import own_resolvers
from bootstrap.node.names.unbound import Control, NotRunning, Run, change, differences, there, tidy
from bootstrap.node.watch.mirror import Mirror
from bootstrap.node.whole import write_whole

# What is known is only read where unbound starts while no API server answers, and each writing wears a disk.
SAVE_SECONDS = 300.0
# Somebody else may have told unbound something.
LOOK_AGAIN_SECONDS = 600.0
# unbound keeps the memory of names that are gone until it reads its configuration again.
FORGOTTEN_BYTES = 50 << 20
# A name with so many records was built in as many steps, each of which copied what there was: bytes for each pair.
STEP_BYTES = 24
Clock = Callable[[], float]


class NameKeeper:
    """`settings` are those of the node's agent: "domain" and "address" of the cluster's DNS, "control" (how
    unbound-control is told where unbound listens), "socket" (where that is), "known" (where names are kept for its next
    start), and "loaded" (where it reads them)."""

    def __init__(
        self,
        settings: Mapping[str, str],
        services: Mirror[Service],
        slices: Mirror[Slice],
        *,
        run: Run | None = None,
        resolvers: Callable[[], tuple[str, ...]] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._settings, self._services, self._slices = settings, services, slices
        self._run = run or Control(settings["control"])
        self._own_resolvers = resolvers or (lambda: own_resolvers(settings["address"]))
        self._clock = clock
        self._names = Names(settings["domain"])
        # Which run of unbound was told whom to ask, and which one the names.
        self._led: tuple[int, int] | None = None
        self._fed: tuple[int, int] | None = None
        self._fed_at = 0.0
        self._resolvers: tuple[str, ...] | None = None
        self._unsaved_since: float | None = None
        self._forgotten = 0

    def round(self) -> str:
        """Take over what has changed. Returns what is wrong, or an empty text. Raises OSError where nothing can be
        written."""
        services, slices = self._services.take(), self._slices.take()
        changes = self._names.update(services, slices)
        if changes:
            self._unsaved()
        try:
            problem = self._feed(changes)
        except NotRunning as error:
            self._led = self._fed = None
            problem = f"names: {error}"
        if self._unsaved_since is not None and self._clock() - self._unsaved_since > SAVE_SECONDS:
            self.save()
        return problem

    @property
    def fed(self) -> bool:
        """Whether unbound, as it runs now, was told all names."""
        return self._fed is not None

    def save(self) -> None:
        """Write down what is known, where that is more than what was written. Raises OSError."""
        if self._unsaved_since is None or not self._is_whole:
            return
        resolvers = self._resolvers if self._resolvers is not None else self._own_resolvers()
        write_whole(Path(self._settings["known"]), known(self._names, resolvers))
        self._unsaved_since = None

    @property
    def _is_whole(self) -> bool:
        """Whether everything was listed once. Before that, what an earlier run wrote down is more than is known now."""
        return self._services.whole and self._slices.whole

    def _feed(self, changes: list[NameChange]) -> str:
        running = self._running()
        if running is None:
            self._led = self._fed = None
            return "names: the cluster's DNS (clusterup-dns.service) does not run"
        self._lead_others(running)
        if not self._is_whole:
            return ""
        if running != self._fed or self._clock() - self._fed_at > LOOK_AGAIN_SECONDS:
            tidy(self._run, self._settings["domain"], self._names.wanted)
            changes = list(differences(there(self._run, self._settings["domain"]), self._names))
            self._fed_at = self._clock()
        if changes:
            change(self._run, changes, self._names.wanted)
        first, self._fed = self._fed is None, running
        self._forgotten += sum(STEP_BYTES * max(len(each.before), len(each.after)) ** 2 for each in changes)
        if self._forgotten > FORGOTTEN_BYTES:
            self._begin_again()
        elif first:
            # What it starts with the next time is worth most where nothing is written yet.
            self.save()
        return ""

    def _running(self) -> tuple[int, int] | None:
        """What tells this run of unbound from an earlier one, or None where it does not run."""
        try:
            found = os.stat(self._settings["socket"])  # noqa: PTH116
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns

    def _lead_others(self, running: tuple[int, int]) -> None:
        """Names of others are asked of the node's own name servers, which DHCP may change at any time."""
        found = self._own_resolvers()
        if running == self._led and found == self._resolvers:
            return
        self._run(("forward_add", ".", *(found or (NOBODY,))), "")
        if running == self._led:
            # What the earlier ones did not know, the new ones may.
            self._run(("flush_negative",), "")
            self._run(("flush_infra", "all"), "")
        if found != self._resolvers:
            self._unsaved()
        self._led, self._resolvers = running, found

    def _unsaved(self) -> None:
        if self._unsaved_since is None:
            self._unsaved_since = self._clock()

    def _begin_again(self) -> None:
        """Have unbound read everything again; what it has looked up of others stays."""
        self._unsaved()
        self.save()
        write_whole(Path(self._settings["loaded"]), Path(self._settings["known"]).read_text())
        self._run(("reload_keep_cache",), "")
        self._forgotten, self._led, self._fed = 0, None, None
