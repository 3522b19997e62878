"""Which tokens are good, known without asking anybody for each one that is shown.

The cluster's description (cluster-info in kube-public, which everybody may read) carries a signature for each token
that is good, keyed by the token's secret. It is read every few seconds, however many ask: a token is good when its
signature stands there, so that one which somebody made up costs a hash. What a good one may read, its groups that is,
the API server says, once for a while.
Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from http import HTTPStatus

from bootstrap.outside import parsed_json
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.token import Token, signature_is_good, token_in

SIGNATURE = "jws-kubeconfig-"
SCHEME = "Bearer "


@dataclass(frozen=True)
class Cluster:
    """How the cluster is asked: for its description, which is JSON, and for the status that it answers to somebody who
    shows a token. Both raise OSError, ValueError or HTTPException where it does not answer."""

    describe: Callable[[], bytes]
    judge: Callable[[Token], int]


@dataclass(frozen=True)
class Times:
    """Seconds: `refresh` between two looks at the description, `stale` after which the last one counts for nothing,
    `remember` for the API server's yes to a token; its no is remembered until the next look."""

    refresh: float = 5.0
    stale: float = 60.0
    remember: float = 30.0


@dataclass(frozen=True)
class Verdict:
    """An HTTP status, and why it is not 200."""

    status: HTTPStatus
    reason: str = ""


@dataclass(frozen=True)
class _Description:
    """What is signed, the signatures by the tokens' ids, and when it was read."""

    signed: str
    signatures: Mapping[str, str]
    at: float


@dataclass
class Admission:
    """What is known of the cluster's tokens. `refresh` and `judged` may be called in different threads."""

    cluster: Cluster
    times: Times
    ask: Executor
    clock: Callable[[], float] = time.monotonic
    _known: _Description | None = None
    _asked: dict[Token, tuple[float, Future[Verdict]]] = field(default_factory=dict)

    def refresh(self) -> None:
        """Read the description. Raises OSError, ValueError or HTTPException, and what was known stays known."""
        found = parsed_json(self.cluster.describe())
        try:
            data = found["data"]
            signed = str(data["kubeconfig"])
            signatures = {
                name.removeprefix(SIGNATURE): str(value) for name, value in data.items() if name.startswith(SIGNATURE)
            }
        except (KeyError, TypeError, AttributeError):
            raise ValueError("what it says of itself does not describe a cluster") from None
        self._known = _Description(signed, signatures, self.clock())

    def judged(self, authorization: str) -> Verdict | Future[Verdict]:
        """What is to be answered to somebody who shows this; where the cluster has to say it, the answer to come.
        Several who show the same token wait for the same answer."""
        if not authorization.startswith(SCHEME):
            return Verdict(HTTPStatus.UNAUTHORIZED, "show a bootstrap token: Authorization: Bearer TOKEN")
        known = self._known
        if known is None or self.clock() - known.at > self.times.stale:
            return Verdict(HTTPStatus.SERVICE_UNAVAILABLE, "the API server of this node does not answer")
        token = _signer(known, authorization.removeprefix(SCHEME))
        if token is None:
            return Verdict(
                HTTPStatus.UNAUTHORIZED,
                f"the cluster knows no such token; one that was made in the last {self.times.refresh:.0f} s may not be "
                "known yet",
            )
        return self._said_of(token)

    def _said_of(self, token: Token) -> Future[Verdict]:
        """What the API server says of the token; once for a while, whatever it is."""
        now = self.clock()
        # No more than there are tokens that are good, or were a moment ago.
        self._asked = {each: (at, said) for each, (at, said) in self._asked.items() if now - at < self._lasts(said)}
        if token not in self._asked:
            self._asked[token] = (now, self.ask.submit(self._verdict_on, token))
        return self._asked[token][1]

    def _lasts(self, said: Future[Verdict]) -> float:
        good = not said.done() or said.result().status == HTTPStatus.OK
        return self.times.remember if good else self.times.refresh

    def _verdict_on(self, token: Token) -> Verdict:
        try:
            status = self.cluster.judge(token)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return Verdict(HTTPStatus.SERVICE_UNAVAILABLE, f"the API server of this node does not answer: {error}")
        if status == HTTPStatus.OK:
            return Verdict(HTTPStatus.OK)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return Verdict(HTTPStatus(status), "the API server does not let this token in")
        return Verdict(HTTPStatus.SERVICE_UNAVAILABLE, f"the API server of this node says {status}")


def _signer(known: _Description, text: str) -> Token | None:
    """The token in the text, where it signed the description."""
    try:
        token = token_in(text)
    except Failure:
        return None
    return token if signature_is_good(known.signed, known.signatures.get(token.id, ""), token) else None
