"""Whether a kubelet gets its certificate for a bootstrap token."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from bootstrap.constants.objects import CONTROL_PLANE, KUBELET_SIGNER
from bootstrap.constants.tokens import BOOTSTRAPPERS_GROUP, LIMITED_GROUP, SERVER_GROUP, SERVERS_KEY
from bootstrap.node.approver import approve
from bootstrap.node.approver.verdict import (
    Denied,
    Name,
    Tally,
    in_turn,
    is_in,
    judge,
    name_of,
    state_of,
    tally_of,
    token_of,
    wanted_node,
)
from bootstrap.protocol.nodes import is_ready
from bootstrap.tokens.rbac import servers_object
from tests.unit.node.test_request import NODES, node, request

USAGES = ["digital signature", "key encipherment", "client auth"]


def asked(name: str = "a1", uid: str = "u1", conditions: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    """A request as the API server has it."""
    given = {
        "username": "system:bootstrap:abcdef",
        "groups": ["system:bootstrappers", LIMITED_GROUP, "system:authenticated"],
        "signerName": KUBELET_SIGNER,
        "usages": USAGES,
        "request": base64.b64encode(request(NODES, node(name))).decode(),
    }
    status = {"conditions": [{"type": kind, "status": "True"} for kind in conditions]} if conditions else {}
    return {"metadata": {"name": "csr", "uid": uid}, "spec": {**given, **spec}, "status": status}


def secret(**annotations: str) -> dict[str, Any]:
    given = {f"clusterup.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {"metadata": {"name": "bootstrap-token-abcdef", **({"annotations": given} if given else {})}}


def test_what_the_approver_reads_is_what_an_apply_keeps() -> None:
    kept = servers_object(["s1"])
    assert approve.SERVERS_PATH.endswith(f"/{kept['metadata']['namespace']}/configmaps/{kept['metadata']['name']}")
    assert kept["data"] == {SERVERS_KEY: "s1\n"}


def test_requests_that_are_made_with_tokens_of_nodes_are_its_business_and_no_others() -> None:
    assert token_of(asked()) == "abcdef"
    assert token_of(asked(groups=["system:bootstrappers", BOOTSTRAPPERS_GROUP])) == "abcdef"
    assert token_of(asked(groups=["system:bootstrappers", "system:bootstrappers:example"])) is None
    assert token_of(asked(groups=["system:bootstrappers", SERVER_GROUP])) is None
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
        judge(asked(), "a1", tally_of(secret(uses=uses)), Name.FREE)


def test_a_first_use_is_counted_and_one_that_was_counted_is_approved_without() -> None:
    assert judge(asked(), "a1", Tally(1, "a1", ()), Name.FREE)
    assert not judge(asked(), "a1", Tally(1, "a1", ("u1",)), Name.FREE)


def test_a_machine_that_was_counted_may_have_its_node_by_the_time_that_it_is_approved() -> None:
    assert not judge(asked(), "a1", Tally(1, None, ("u1",)), Name.TAKEN)


@pytest.mark.parametrize(
    ("tally", "name", "why"),
    [
        (Tally(2, None, ("u2", "u3")), Name.FREE, "used up: it was for 2 and has let in 2"),
        (Tally(None, "a2", ()), Name.FREE, "the token is for the node a2, and the machine calls itself a1"),
        (Tally(None, "a2", ()), Name.FREE, "clusterup token create --node a1"),
        (Tally(2, None, ("u2",)), Name.TAKEN, "the name a1 is taken: the cluster has a Node of that name"),
        (Tally(None, None, ()), Name.TAKEN, "clusterup token create --node a1"),
        (Tally(1, None, ()), Name.SERVERS, "the name a1 is a server's, and a token for agents never gets it"),
        (Tally(1, "a1", ()), Name.SERVERS, "the name a1 is a server's"),
    ],
)
def test_a_refusal_says_why_and_what_to_do_to_whoever_waits_for_the_node(tally: Tally, name: Name, why: str) -> None:
    with pytest.raises(Denied) as denied:
        judge(asked(), "a1", tally, name)
    assert why in str(denied.value)


def test_a_token_for_one_node_gives_its_name_again() -> None:
    assert judge(asked(), "a1", Tally(1, "a1", ()), Name.TAKEN)
    assert judge(asked(), "a1", Tally(None, "a1", ("u2", "u3", "u4")), Name.TAKEN)


def test_a_server_s_name_is_for_a_server_s_token_that_was_made_for_it() -> None:
    of_server = asked(groups=["system:bootstrappers", SERVER_GROUP, LIMITED_GROUP])
    assert judge(of_server, "a1", Tally(1, "a1", ()), Name.SERVERS)
    with pytest.raises(Denied, match="is a server's"):
        judge(of_server, "a1", Tally(1, None, ()), Name.SERVERS)


def test_a_name_is_a_server_s_by_its_node_and_by_the_list_where_that_is_away() -> None:
    labelled = {"metadata": {"labels": {CONTROL_PLANE: ""}}}
    assert name_of("s1", labelled, ()) is Name.SERVERS
    assert name_of("s1", None, {"s1"}) is Name.SERVERS
    assert name_of("s1", {"metadata": {}}, {"s1"}) is Name.SERVERS
    assert name_of("a1", {"metadata": {"labels": None}}, {"s1"}) is Name.TAKEN
    assert name_of("a1", None, {"s1"}) is Name.FREE


def since(uid: str, second: int, token: str = "abcdef") -> dict[str, Any]:
    made = asked(uid=uid, username=f"system:bootstrap:{token}")
    made["metadata"]["creationTimestamp"] = f"2030-01-01T00:00:{second:02}Z"
    return made


def test_who_asks_a_thousand_times_keeps_no_other_token_waiting() -> None:
    many = [since(f"u{number}", number) for number in range(50)]
    others = [since("o1", 58, "others"), since("o2", 59, "others")]
    turn = [csr["metadata"]["uid"] for csr in in_turn([*many, *others], {})]
    assert set(turn[:4]) == {"u49", "o2", "u48", "o1"}
    assert len(turn) == 52


def test_what_could_not_be_answered_before_comes_after_what_was_not_looked_at() -> None:
    turn = in_turn([since("stuck", 2), since("new", 1)], {"stuck": 3})
    assert [csr["metadata"]["uid"] for csr in turn] == ["new", "stuck"]


def test_what_a_kubelet_asked_for_last_is_what_it_waits_for() -> None:
    turn = in_turn([since("before", 1), since("now", 2)], {})
    assert [csr["metadata"]["uid"] for csr in turn] == ["now", "before"]


def test_only_what_kubelets_ask_for_is_judged_at_all() -> None:
    assert wanted_node(asked()) == "a1"
    assert wanted_node(asked(usages=["client auth", "digital signature"])) == "a1"
    for usages in (["client auth"], [*USAGES, "server auth"], [*USAGES, "client auth"], [], None):
        with pytest.raises(Denied, match="not a request of a kubelet: it is for"):
            wanted_node(asked(usages=usages))
    for content in ("", "###", base64.b64encode(b"no request").decode()):
        with pytest.raises(Denied, match="not a request of a kubelet"):
            wanted_node(asked(request=content))


def test_a_node_is_live_when_its_kubelet_says_so() -> None:
    assert is_ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    for given in (None, {}, {"status": {"conditions": None}}, {"status": {"conditions": [{"type": "Ready"}]}}):
        assert not is_ready(given)
    assert not is_ready({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})


@pytest.mark.parametrize(
    ("told", "there"),
    [("2030-01-01T00:00:09Z", False), ("2030-01-01T00:00:10Z", True), ("2030-01-01T00:00:11Z", True), (None, True)],
)
def test_a_node_whose_place_was_taken_is_in_when_its_new_kubelet_says_so(told: str | None, there: bool) -> None:
    csr = asked(conditions=("Approved",))
    csr["status"]["conditions"][0]["lastUpdateTime"] = "2030-01-01T00:00:10Z"
    node = {"status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": told}]}}
    assert is_in(node, csr) is there
