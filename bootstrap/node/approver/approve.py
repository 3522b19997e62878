"""The approver: says yes or no to kubelets that ask for their certificate with a bootstrap token.

It runs on every server. A use is counted in the token's Secret before the request is approved, by a change that fails
where another server was quicker; whoever finds a request counted and not yet approved approves it, so that an end
between the two costs nothing. It watches, and looks now and then all the same: a watch that dies in silence lets no one
in.
Source: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bootstrap.constants.objects import KUBELET_SIGNER
from bootstrap.constants.tokens import LIMITED_GROUP, SERVERS, SERVERS_KEY, TOKENS_NAMESPACE, USED_BY
from bootstrap.node.api import MERGE, Api, Refusal
from bootstrap.node.approver.verdict import (
    UNCOUNTED,
    Denied,
    Object,
    Tally,
    groups_of,
    in_turn,
    is_in,
    judge,
    name_of,
    state_of,
    tally_of,
    token_of,
    wanted_node,
)
from bootstrap.node.watch.follow import ApiServer, Kind
from bootstrap.node.watch.following import Service, say

# How often is looked while something is open or nothing is watched, and otherwise.
EVERY_SECONDS, QUIET_SECONDS = 2.0, 15.0
GATHER_SECONDS = 0.5
# How many requests are looked at in one round, however many there are.
MOST = 50
KIND = "CertificateSigningRequest"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
FOLLOWED = Kind("requests for certificates", (REQUESTS,), state_of, f"spec.signerName={KUBELET_SIGNER}")
SERVERS_PATH = f"/api/v1/namespaces/{TOKENS_NAMESPACE}/configmaps/{SERVERS}"
# Rights to read a token's Secret come and go with it, and an API server takes a moment to notice either.
FORBIDDEN_SECONDS = 15.0

# What one request may be the reason of, and no other one suffers from.
WRONG = (Refusal, LookupError, ValueError, TypeError, AttributeError)


def main(path: str) -> int:
    """Approve and deny as the settings in the file at `path` say where, until SIGTERM."""
    settings = json.loads(Path(path).read_text())
    approver = Approver(Api(settings), say)
    service = Service()
    woken = service.waker()
    server = ApiServer(settings["server"], settings["ca"], settings["certificate"], settings["key"])
    asked = service.follow(FOLLOWED, server, woken)
    said = ""
    while not service.stop.is_set():
        woken.clear()
        try:
            # What waits for its turn, or for rights that come a moment later, changes nothing that a watch would tell.
            quiet = not approver.look() and asked.whole
            problem = ""
        except (*WRONG, OSError, http.client.HTTPException) as error:
            quiet, problem = False, f"{type(error).__name__}: {error}"
        # The same trouble in every round would fill the journal and say nothing new.
        if problem != said:
            say(problem or "requests that are made with bootstrap tokens are answered")
            said = problem
        if woken.wait(QUIET_SECONDS if quiet else EVERY_SECONDS):
            # What comes together is looked at together.
            service.stop.wait(GATHER_SECONDS)
        asked.take()
    return 0


class Look:
    """What the cluster says in one round, asked for when it is needed and once only."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @cached_property
    def servers(self) -> frozenset[str]:
        """The names of the cluster's servers. Raises LookupError where no one wrote them down."""
        found = self._api.find(SERVERS_PATH)
        if found is None:
            raise LookupError("the cluster does not say which names are servers': run `clusterup apply`")
        return frozenset(found["data"][SERVERS_KEY].split())

    @cached_property
    def requests(self) -> Sequence[Object]:
        """All requests as the quorum has them: one that is not among these is not there."""
        return requests_of(self._api, "")


def requests_of(api: Api, more: str) -> list[Object]:
    """All requests for kubelets' certificates. Raises Refusal, OSError, HTTPException."""
    found: list[Object] = api.call("GET", f"{REQUESTS}?fieldSelector=spec.signerName%3D{quote(KUBELET_SIGNER)}{more}")[
        "items"
    ]
    return found


class Approver:
    """What is remembered between two looks only saves questions; everything that counts is in the cluster.

    `say` is told each decision.
    """

    def __init__(self, api: Api, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._say = say
        self._clock = clock
        self._settled: set[str] = set()
        self._looks: Counter[str] = Counter()
        self._forbidden_since: dict[str, float] = {}
        self._trouble: dict[str, str] = {}

    def look(self) -> bool:
        """Answer what waits for an answer, and take used-up tokens away. Returns whether anything was open.

        Raises Refusal, OSError, HTTPException.
        """
        requests = [csr for csr in requests_of(self._api, "&resourceVersion=0") if token_of(csr)]
        self._forget_all_but({csr["metadata"]["uid"] for csr in requests})
        look = Look(self._api)
        open_ones = list(filter(self._is_open, requests))
        for csr in in_turn(open_ones, self._looks)[:MOST]:
            self._looks[csr["metadata"]["uid"]] += 1
            # One that fails is not a reason to let the others wait; a change that came too late is looked at again.
            try:
                if state_of(csr) == "pending":
                    self._answer(csr, look)
                else:
                    self._settle(csr, look)
            except WRONG as error:
                if not isinstance(error, Refusal) or error.status != 409:
                    self._complain(csr, f"{type(error).__name__}: {error}")
        return bool(open_ones)

    def _is_open(self, csr: Object) -> bool:
        """Whether something is to do about the request."""
        state = state_of(csr)
        return state == "pending" or (state == "approved" and csr["metadata"]["uid"] not in self._settled)

    def _forget_all_but(self, there: set[str]) -> None:
        self._settled &= there
        self._looks = Counter({uid: looks for uid, looks in self._looks.items() if uid in there})
        self._forbidden_since = {uid: since for uid, since in self._forbidden_since.items() if uid in there}
        self._trouble = {uid: said for uid, said in self._trouble.items() if uid in there}

    def _complain(self, csr: Object, trouble: str) -> None:
        """Once of each request, for as long as it is the same."""
        if self._trouble.get(csr["metadata"]["uid"]) != trouble:
            self._trouble[csr["metadata"]["uid"]] = trouble
            self._say(f"{_named(csr)}: {trouble}")

    def _answer(self, csr: Object, look: Look) -> None:
        try:
            node = wanted_node(csr)
            secret = self._secret(csr) if _is_counted(csr) else None
            if secret is None and _is_counted(csr):
                return
            tally = UNCOUNTED if secret is None else tally_of(secret)
            name = name_of(node, self._node(node), look.servers)
            if judge(csr, node, tally, name) and secret is not None:
                tally = self._count(csr, secret, tally)
        except Denied as denied:
            self._decide(csr, "Denied", str(denied))
            return
        self._decide(csr, "Approved", f"{node} joins with the token {token_of(csr)}, {_which_use(csr, tally)}")

    def _secret(self, csr: Object) -> Mapping[str, Any] | None:
        """The token's Secret; None where that can't be said yet. Raises Denied where it is gone."""
        try:
            secret: Mapping[str, Any] | None = self._api.find(_path_of(csr))
        except Refusal as refusal:
            if refusal.status != 403:
                raise
            since = self._forbidden_since.setdefault(csr["metadata"]["uid"], self._clock())
            if self._clock() - since < FORBIDDEN_SECONDS:
                return None
            secret = None
        if secret is None:
            raise Denied("the token is used up, revoked or over. Another token: clusterup token create")
        return secret

    def _count(self, csr: Object, secret: Object, tally: Tally) -> Tally:
        """Note the use. Raises Refusal (409) where the Secret is another one by now."""
        used_by = (*tally.used_by, csr["metadata"]["uid"])
        found = secret["metadata"]
        change = {"uid": found["uid"], "resourceVersion": found["resourceVersion"]}
        change["annotations"] = {USED_BY: " ".join(used_by)}
        self._api.call("PATCH", _path_of(csr), {"metadata": change}, MERGE)
        return Tally(tally.uses, tally.node, used_by)

    def _decide(self, csr: Object, kind: str, message: str) -> None:
        condition = {"type": kind, "status": "True", "reason": "ClusterupToken", "message": message}
        status = csr.get("status") or {}
        decided = {**csr, "status": {**status, "conditions": [*(status.get("conditions") or []), condition]}}
        path = f"{REQUESTS}/{quote(csr['metadata']['name'], safe='')}/approval"
        # A list leaves out what its members are.
        self._api.call("PUT", path, {"apiVersion": "certificates.k8s.io/v1", "kind": KIND, **decided})
        self._say(f"{kind.lower()} {_named(csr)}: {message}")

    def _settle(self, csr: Object, look: Look) -> None:
        """Take the token away when it is used up and whoever used it is in: until then a kubelet reads its certificate
        with it."""
        secret = None
        try:
            secret = self._api.find(_path_of(csr)) if _is_counted(csr) else None
        except Refusal as refusal:
            if refusal.status != 403:
                raise
        tally = tally_of(secret) if secret is not None else None
        if secret is None or tally is None or tally.uses is None:
            self._settled.add(csr["metadata"]["uid"])
            return
        if not tally.used_up or not self._are_in(tally.used_by, look.requests):
            return
        known = {key: secret["metadata"][key] for key in ("uid", "resourceVersion")}
        self._api.call("DELETE", _path_of(csr), {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": known})
        self._say(f"the token {token_of(csr)} is used up, and deleted")

    def _are_in(self, used_by: Sequence[str], requests: Sequence[Object]) -> bool:
        for csr in (csr for csr in requests if csr["metadata"]["uid"] in used_by):
            if state_of(csr) == "pending":
                return False
            if state_of(csr) == "approved" and not is_in(self._node(wanted_node(csr)), csr):
                return False
        return True

    def _node(self, name: str) -> Object | None:
        found: Object | None = self._api.find(f"/api/v1/nodes/{quote(name, safe='')}")
        return found


def _is_counted(csr: Object) -> bool:
    """Whether the approver reads, and keeps, what is written down of the token."""
    return LIMITED_GROUP in groups_of(csr)


def _which_use(csr: Object, tally: Tally) -> str:
    if not _is_counted(csr):
        return "which is not counted"
    return f"use {tally.used_by.index(csr['metadata']['uid']) + 1} of {tally.uses or 'any number'}"


def _path_of(csr: Object) -> str:
    return f"/api/v1/namespaces/kube-system/secrets/bootstrap-token-{token_of(csr)}"


def _named(csr: Object) -> str:
    """The request's name, which its maker chose, in one harmless word."""
    return ascii(csr["metadata"]["name"][:80])
