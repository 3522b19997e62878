"""Whether a kubelet gets its certificate for a counted token."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import pytest

import bootstrap
from bootstrap.pki.token import COUNTED_GROUP, DEFAULT_GROUP
from bootstrap.steps import known_tokens
from bootstrap.steps.token_objects import KUBELET_SIGNER
from tests.unit.node.test_request import NODES, node, request

sys.path.insert(0, str(Path(bootstrap.__file__).parent / "node"))

import verdict
from verdict import Denied, Tally, is_ready, judge, state_of, tally_of, token_of, wanted_node

USAGES = ["digital signature", "key encipherment", "client auth"]


def asked(name: str = "a1", uid: str = "u1", conditions: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    """A request as the API server has it."""
    given = {
        "username": "system:bootstrap:abcdef",
        "groups": ["system:bootstrappers", COUNTED_GROUP, "system:authenticated"],
        "signerName": KUBELET_SIGNER,
        "usages": USAGES,
        "request": base64.b64encode(request(NODES, node(name))).decode(),
    }
    status = {"conditions": [{"type": kind, "status": "True"} for kind in conditions]} if conditions else {}
    return {"metadata": {"name": "csr", "uid": uid}, "spec": {**given, **spec}, "status": status}


def secret(**annotations: str) -> dict[str, Any]:
    given = {f"clusterup.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {"metadata": {"name": "bootstrap-token-abcdef", **({"annotations": given} if given else {})}}


def test_the_approver_and_the_command_call_things_by_the_same_names() -> None:
    theirs = (known_tokens.USES, known_tokens.NODE, known_tokens.USED_BY, COUNTED_GROUP, KUBELET_SIGNER)
    assert theirs == (verdict.USES, verdict.NODE, verdict.USED_BY, verdict.GROUP, verdict.SIGNER)


def test_requests_that_are_made_with_counted_tokens_are_its_business_and_no_others() -> None:
    assert token_of(asked()) == "abcdef"
    assert token_of(asked(groups=["system:bootstrappers", DEFAULT_GROUP])) is None
    assert token_of(asked(groups=None)) is None
    assert token_of(asked(username="system:node:a1")) is None
    assert token_of(asked(username="system:bootstrap:abcdef\n")) is None
    assert token_of(asked(signerName="kubernetes.io/kube-apiserver-client")) is None


@pytest.mark.parametrize(
    ("conditions", "state"),
    [((), "pending"), (("Approved",), "approved"), (("Denied",), "denied"), (("Approved", "Failed"), "denied")],
)
def test_what_is_decided_is_not_decided_again(conditions: tuple[str, ...], state: str) -> None:
    assert state_of(asked(conditions=conditions)) == state


def test_a_token_says_how_often_for_whom_and_what_it_was_used_for() -> None:
    assert tally_of(secret()) == Tally(None, None, ())
    assert tally_of(secret(uses="3", node="a1", used_by="u1 u2")) == Tally(3, "a1", ("u1", "u2"))


@pytest.mark.parametrize("uses", ["", "many", "-1", "1.5", "9" * 10])
def test_a_number_that_is_none_allows_nothing(uses: str) -> None:
    with pytest.raises(Denied, match="used up"):
        judge(asked(), "a1", tally_of(secret(uses=uses)), live=False)


def test_a_first_use_is_counted_and_one_that_was_counted_is_approved_without() -> None:
    assert judge(asked(), "a1", Tally(1, "a1", ()), live=False)
    assert not judge(asked(), "a1", Tally(1, "a1", ("u1",)), live=False)


def test_a_machine_that_was_counted_may_be_ready_by_the_time_that_it_is_approved() -> None:
    assert not judge(asked(), "a1", Tally(1, None, ("u1",)), live=True)


@pytest.mark.parametrize(
    ("tally", "live", "why"),
    [
        (Tally(2, None, ("u2", "u3")), False, "used up: it was for 2 of them, and 2 have joined"),
        (Tally(None, "a2", ()), False, "the token is for the node a2, and the machine calls itself a1"),
        (Tally(None, "a1", ()), True, "the name a1 is taken"),
        (Tally(2, None, ("u2",)), True, "the name a1 is taken"),
    ],
)
def test_a_refusal_says_why_to_whoever_waits_for_the_node(tally: Tally, live: bool, why: str) -> None:
    with pytest.raises(Denied) as denied:
        judge(asked(), "a1", tally, live)
    assert why in str(denied.value)


def test_a_token_for_one_node_lets_it_in_as_often_as_it_is_not_there() -> None:
    assert judge(asked(), "a1", Tally(None, "a1", ("u2", "u3", "u4")), live=False)


def test_only_what_kubelets_ask_for_is_judged_at_all() -> None:
    assert wanted_node(asked()) == "a1"
    assert wanted_node(asked(usages=["client auth", "digital signature"])) == "a1"
    for usages in (["client auth"], [*USAGES, "server auth"], [], None):
        with pytest.raises(Denied, match="no request of a kubelet: it is for"):
            wanted_node(asked(usages=usages))
    for content in ("", "###", base64.b64encode(b"no request").decode()):
        with pytest.raises(Denied, match="no request of a kubelet"):
            wanted_node(asked(request=content))


def test_a_node_is_live_when_its_kubelet_says_so() -> None:
    assert is_ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    for given in (None, {}, {"status": {"conditions": None}}, {"status": {"conditions": [{"type": "Ready"}]}}):
        assert not is_ready(given)
    assert not is_ready({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
