"""The approver: says yes or no to kubelets that ask for their certificate with a counted token.

It runs on every server. A use is counted in the token's Secret before the request is approved, by a change that fails
where another server was quicker; whoever finds a request counted and not yet approved approves it, so that an end
between the two costs nothing. It polls, as the other agent does: a watch that dies in silence lets nobody in.
Source: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from __future__ import annotations

import http.client
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from api import MERGE, Api, Refusal
from verdict import SIGNER, USED_BY, Denied, Object, Tally, is_ready, judge, state_of, tally_of, token_of, wanted_node

EVERY_SECONDS = 2.0
KIND = "CertificateSigningRequest"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
# Rights to read a token's Secret come and go with it, and an API server takes a moment to notice either.
FORBIDDEN_SECONDS = 15.0


def main(path: str) -> int:
    """Approve and deny as the settings in the file at `path` say where, until SIGTERM."""
    approver = Approver(Api(json.loads(Path(path).read_text())), _say)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    said = ""
    while not stop.is_set():
        try:
            approver.look()
            problem = ""
        except (OSError, ValueError, KeyError, TypeError, Refusal, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
        # The same trouble in every round would fill the journal and say nothing new.
        if problem != said:
            _say(problem or "requests that are made with counted tokens are answered")
            said = problem
        stop.wait(EVERY_SECONDS)
    return 0


class Approver:
    """What is remembered between two looks only saves questions; everything that counts is in the cluster.

    `say` is told each decision.
    """

    def __init__(self, api: Api, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._say = say
        self._clock = clock
        self._settled: set[str] = set()
        self._forbidden_since: dict[str, float] = {}
        self._trouble: dict[str, str] = {}

    def look(self) -> None:
        """Answer what waits for an answer, and take used-up tokens away. Raises Refusal, OSError, HTTPException."""
        requests = [csr for csr in self._requests("&resourceVersion=0") if token_of(csr)]
        there = {csr["metadata"]["uid"] for csr in requests}
        self._settled &= there
        self._forbidden_since = {uid: since for uid, since in self._forbidden_since.items() if uid in there}
        self._trouble = {uid: said for uid, said in self._trouble.items() if uid in there}
        for csr in requests:
            state = state_of(csr)
            # One that fails is no reason to let the others wait; a change that came too late is looked at again.
            try:
                if state == "pending":
                    self._answer(csr)
                elif state == "approved" and csr["metadata"]["uid"] not in self._settled:
                    self._settle(csr)
            except (Refusal, LookupError, ValueError, TypeError) as error:
                if not isinstance(error, Refusal) or error.status != 409:
                    self._complain(csr, f"{type(error).__name__}: {error}")

    def _complain(self, csr: Object, trouble: str) -> None:
        """Once of each request, for as long as it is the same."""
        if self._trouble.get(csr["metadata"]["uid"]) != trouble:
            self._trouble[csr["metadata"]["uid"]] = trouble
            self._say(f"{_named(csr)}: {trouble}")

    def _answer(self, csr: Object) -> None:
        try:
            node = wanted_node(csr)
            secret = self._secret(csr)
            if secret is None:
                return
            tally = tally_of(secret)
            if judge(csr, node, tally, self._is_live(node)):
                tally = self._count(csr, secret, tally)
        except Denied as denied:
            self._decide(csr, "Denied", str(denied))
            return
        number = f"use {tally.used_by.index(csr['metadata']['uid']) + 1} of {tally.uses or 'any number'}"
        self._decide(csr, "Approved", f"{node} joins with the token {token_of(csr)}, {number}")

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
            raise Denied("the token is used up, revoked or over")
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

    def _settle(self, csr: Object) -> None:
        """Take the token away when it is used up and whoever used it is in: until then a kubelet reads its certificate
        with it."""
        secret = None
        try:
            secret = self._api.find(_path_of(csr))
        except Refusal as refusal:
            if refusal.status != 403:
                raise
        tally = tally_of(secret) if secret is not None else None
        if secret is None or tally is None or tally.uses is None:
            self._settled.add(csr["metadata"]["uid"])
            return
        # As the quorum has them: one that is not among these is not there.
        if not tally.used_up or not self._are_in(tally.used_by, self._requests("")):
            return
        known = {key: secret["metadata"][key] for key in ("uid", "resourceVersion")}
        self._api.call("DELETE", _path_of(csr), {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": known})
        self._say(f"the token {token_of(csr)} is used up, and deleted")

    def _are_in(self, used_by: Sequence[str], requests: Sequence[Object]) -> bool:
        for csr in (csr for csr in requests if csr["metadata"]["uid"] in used_by):
            if state_of(csr) == "pending":
                return False
            if state_of(csr) == "approved" and not self._is_live(wanted_node(csr)):
                return False
        return True

    def _is_live(self, node: str) -> bool:
        return is_ready(self._api.find(f"/api/v1/nodes/{quote(node, safe='')}"))

    def _requests(self, more: str) -> list[Object]:
        found: list[Object] = self._api.call(
            "GET", f"{REQUESTS}?fieldSelector=spec.signerName%3D{quote(SIGNER)}{more}"
        )["items"]
        return found


def _path_of(csr: Object) -> str:
    return f"/api/v1/namespaces/kube-system/secrets/bootstrap-token-{token_of(csr)}"


def _named(csr: Object) -> str:
    """The request's name, which its maker chose, in one harmless word."""
    return ascii(csr["metadata"]["name"][:80])


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
