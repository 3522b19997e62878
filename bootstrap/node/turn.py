"""One at a time: the cluster's lock, taken by a server that joins by itself.

It is the lock that an operator's clusterup takes (bootstrap/steps/cluster_lock.py): a key in etcd that ends with its
lease. Over etcd's JSON gateway, as all that a node asks of etcd.
Source: https://etcd.io/docs/v3.5/learning/api/#lease-api, https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/
"""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from outside import on_one_line, parsed_json
from quorum import Etcd
from trouble import Trouble

KEY = "/clusterup/lock"
LEASE_SECONDS = 30
WAIT_SECONDS = 900.0
EVERY_SECONDS = 2.0


@contextmanager
def turn(etcd: Etcd, doing: str, say: Callable[[str], object]) -> Iterator[Callable[[], None]]:
    """Hold the cluster's lock; what is yielded raises Trouble once it is lost. Raises Trouble that says who holds it
    after a quarter of an hour, and where etcd does not answer."""
    lease = _taken(etcd, doing, say)
    ended, lost = threading.Event(), threading.Event()
    keeper = threading.Thread(target=_keep, args=(etcd, lease, ended, lost), name="lock", daemon=True)
    keeper.start()

    def still_ours() -> None:
        if lost.is_set():
            raise Trouble(
                "the cluster's lock was lost: somebody else may be at work on it",
                tried="keep its lease alive",
                hint="the same command goes on from what is true",
                passing=True,
            )

    try:
        yield still_ours
    finally:
        ended.set()
        keeper.join()
        # Where this fails it ends by itself.
        with suppress(Trouble):
            etcd.ask("/v3/lease/revoke", {"ID": lease})


def _taken(etcd: Etcd, doing: str, say: Callable[[str], object]) -> str:
    """The lease with which the lock is ours."""
    lease, told = "", ""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            # One that has ended while somebody else held the lock is of no use any more.
            if not (lease and _renewed(etcd, lease)):
                lease = str(etcd.ask("/v3/lease/grant", {"TTL": LEASE_SECONDS})["ID"])
            holder = _other_holder(etcd, lease, doing)
        except Trouble as trouble:
            # A slow machine, or another leader: it was told before that somebody holds it, and waits for that.
            if not told or not trouble.passing or time.monotonic() >= end:
                raise
            time.sleep(EVERY_SECONDS)
            continue
        if holder is None:
            return lease
        if time.monotonic() >= end:
            raise Trouble(
                "another clusterup is at work on this cluster",
                tried=f"take the cluster's lock, for {WAIT_SECONDS:.0f} s",
                got=holder,
                hint="the same command goes on when it has ended",
                passing=True,
            )
        if holder != told:
            say(f"waiting for the cluster's lock, held by {holder}")
            told = holder
        time.sleep(EVERY_SECONDS)


def _other_holder(etcd: Etcd, lease: str, doing: str) -> str | None:
    """Who holds the lock; None where it is ours now."""
    key = _coded(KEY.encode())
    put = {"request_put": {"key": key, "value": _coded(_note(doing)), "lease": lease}}
    answer = etcd.ask(
        "/v3/kv/txn",
        {
            "compare": [{"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}],
            "success": [put],
            "failure": [{"request_range": {"key": key}}],
        },
    )
    if answer.get("succeeded"):
        return None
    found: dict[str, Any] = next(iter(answer["responses"][0]["response_range"].get("kvs", [])), {})
    # Ours: the answer to an earlier question was lost.
    return None if found.get("lease") == lease else _described(found.get("value", ""))


def _keep(etcd: Etcd, lease: str, ended: threading.Event, lost: threading.Event) -> None:
    confirmed = time.monotonic()
    while not ended.wait(LEASE_SECONDS / 3):
        try:
            if not _renewed(etcd, lease):
                lost.set()
                return
            confirmed = time.monotonic()
        except Trouble:
            # A quorum that is silent gives the lock to nobody else; when it answers again, its leases begin anew.
            if time.monotonic() - confirmed > WAIT_SECONDS:
                lost.set()
                return


def _renewed(etcd: Etcd, lease: str) -> bool:
    """Whether the lease goes on, for all its time. Raises Trouble where etcd does not say."""
    answer = etcd.ask("/v3/lease/keepalive", {"ID": lease})
    # A stream of answers, which fails with a status of its own inside of one that is well.
    if "result" not in answer:
        raise Trouble(
            "etcd does not say whether the cluster's lock goes on",
            tried="keep its lease alive",
            got=str(answer)[:300],
            hint="look at `journalctl -u etcd` on a server; the same command goes on",
            passing=True,
        )
    return int(answer["result"].get("TTL", 0)) > 0


def _note(doing: str) -> bytes:
    """What others read of the holder; see bootstrap/holder.py."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    found = {"who": "root", "host": socket.gethostname(), "pid": os.getpid(), "since": since, "doing": doing}
    return json.dumps(found).encode()


def _described(value: str) -> str:
    try:
        found = parsed_json(base64.b64decode(value))
        return on_one_line("{who} on {host} (process {pid}) since {since}: {doing}".format(**found))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "somebody who has not said yet who it is"


def _coded(content: bytes) -> str:
    return base64.b64encode(content).decode()
