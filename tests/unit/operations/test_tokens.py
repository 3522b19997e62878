"""Tokens that nodes join with: how long they live, what is printed of them, what a list of them says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.tokens import LIMITED_GROUP, SERVER_GROUP
from bootstrap.errors import BadUse
from bootstrap.inventory.model import Role
from bootstrap.operations.create_token import Made, id_of, join_url, wish_of
from bootstrap.pki.token import token_secret
from bootstrap.protocol.token import Token
from bootstrap.times import in_words
from bootstrap.tokens.listing import KnownToken, known_token
from bootstrap.tokens.rbac import add_server
from bootstrap.tokens.ttl import lifetime_of
from bootstrap.ui.tokens import token_lines
from tests.helpers.worlds import inventory

NOW = datetime(2030, 1, 2, 3, 0, 0, tzinfo=UTC)
TOKEN = Token("abcdef", "0123456789abcdef")
PIN = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "minutes"), [("60", 1), ("30m", 30), ("1h", 60), ("2d", 2880), ("1h30m", 90), ("90s", 1.5), ("30d", 43200)]
)
def test_a_lifetime_is_written_with_its_unit(text: str, minutes: float) -> None:
    assert lifetime_of(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "soon", "-1h", "1.5h", "1 h", "1w", "h", "30m1h", "9999999d"])
def test_anything_else_is_no_lifetime(text: str) -> None:
    with pytest.raises(BadUse, match="is not a time") as refused:
        lifetime_of(text)
    assert "--ttl 30m" in refused.value.hint


@pytest.mark.parametrize("text", ["0s", "0h", "59s"])
def test_no_token_lives_for_ever_or_for_no_time_at_all(text: str) -> None:
    with pytest.raises(BadUse, match="without an end"):
        lifetime_of(text)


def test_a_token_that_would_live_too_long_is_refused_with_the_longest_time() -> None:
    with pytest.raises(BadUse) as refused:
        lifetime_of("31d")
    assert "--ttl 30d" in refused.value.hint
    with pytest.raises(BadUse) as refused:
        lifetime_of("61m", timedelta(hours=1))
    assert "--ttl 1h" in refused.value.hint


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (59, "59s"), (90, "1m30s"), (3600, "1h"), (90000, "1d1h"), (86460, "1d")]
)
def test_times_are_told_in_two_units(seconds: int, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


def test_both_join_commands_carry_the_server_the_token_and_the_pin() -> None:
    made = Made(TOKEN, NOW, "https://10.77.0.11:6443", PIN)
    assert made.join_commands() == (
        f"clusterup join HOST --server https://10.77.0.11:6443 --token {TOKEN.reveal()} --ca-cert-hash {PIN}",
        f"kubeadm join 10.77.0.11:6443 --token {TOKEN.reveal()} --discovery-token-ca-cert-hash {PIN}",
    )
    assert TOKEN.secret not in repr(made)


def test_kubeadm_can_do_nothing_with_a_server_s_token() -> None:
    made = Made(TOKEN, NOW, "https://10.77.0.11:6443", PIN, Role.SERVER)
    assert [command.split()[0] for command in made.join_commands()] == ["clusterup"]


def test_a_server_s_token_is_short_lived_and_good_for_one_join() -> None:
    wish = wish_of(ttl=None, role="server")
    assert (wish.lifetime, wish.groups, wish.annotations) == (
        timedelta(minutes=15),
        (SERVER_GROUP,),
        {"clusterup.dev/uses": "1"},
    )
    assert wish_of(ttl="1h", role="server").lifetime == timedelta(hours=1)
    with pytest.raises(BadUse, match="too long"):
        wish_of(ttl="2h", role="server")
    assert wish_of(ttl=None, role="agent").lifetime == timedelta(hours=1)


def test_a_server_of_the_inventory_joins_by_itself_with_a_token_that_is_for_it_alone() -> None:
    wish = wish_of(ttl=None, role="server", node="s4")
    assert (wish.groups, wish.annotations) == (
        (SERVER_GROUP, LIMITED_GROUP),
        {"clusterup.dev/uses": "1", "clusterup.dev/node": "s4"},
    )
    (typed,) = Made(TOKEN, NOW, "https://10.77.0.11:6443", PIN, Role.SERVER, "s4").join_commands()
    assert typed == (
        f"clusterup-node join https://10.77.0.11:6443 --token {TOKEN.reveal()} --ca-cert-hash {PIN} --name s4"
    )


@pytest.mark.parametrize(
    ("options", "annotations"),
    [
        ({}, {"clusterup.dev/uses": "1"}),
        ({"uses": "3"}, {"clusterup.dev/uses": "3"}),
        ({"uses": "unlimited"}, {}),
        ({"node": "a1"}, {"clusterup.dev/uses": "1", "clusterup.dev/node": "a1"}),
        ({"uses": "unlimited", "node": "a1"}, {"clusterup.dev/node": "a1"}),
    ],
)
def test_an_agent_s_token_is_for_one_node_unless_told_otherwise_and_always_the_approver_s_to_judge(
    options: dict[str, Any], annotations: dict[str, str]
) -> None:
    wish = wish_of(ttl=None, role="agent", **options)
    assert (wish.groups, wish.annotations) == ((LIMITED_GROUP,), annotations)


@pytest.mark.parametrize(
    "options",
    [
        {"role": "agent", "uses": "0"},
        {"role": "agent", "uses": "-1"},
        {"role": "agent", "uses": ""},
        {"role": "agent", "uses": "any"},
        {"role": "agent", "uses": "1" * 10},
        {"role": "agent", "node": "A1"},
        {"role": "agent", "node": ""},
        {"role": "agent", "node": "a1 a2"},
        {"role": "server", "uses": "2"},
        {"role": "server", "uses": "unlimited"},
        {"role": "server", "node": "S4"},
    ],
)
def test_what_no_token_can_be_is_refused_with_what_to_do(options: dict[str, Any]) -> None:
    with pytest.raises(BadUse) as refused:
        wish_of(ttl=None, **options)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("uses", "node", "words"),
    [
        (1, None, "1 node"),
        (3, None, "3 nodes"),
        (None, None, "any number of nodes"),
        (1, "a1", "1 join as a1"),
        (None, "a1", "any number of joins as a1"),
    ],
)
def test_what_a_token_is_good_for_is_said(uses: int | None, node: str | None, words: str) -> None:
    assert Made(TOKEN, NOW, "https://10.77.0.11:6443", PIN, uses=uses, node=node).good_for == words


def test_both_commands_say_the_name_that_the_token_is_for() -> None:
    ours, kubeadm_s = Made(TOKEN, NOW, "https://10.77.0.11:6443", PIN, node="a1").join_commands()
    assert ours.endswith(f"{PIN} --name a1")
    assert kubeadm_s.endswith(f"{PIN} --node-name a1")


def test_a_counted_token_lets_agents_in_and_tells_how_many_more_it_will() -> None:
    used = {"clusterup.dev/uses": "3", "clusterup.dev/node": "a1", "clusterup.dev/used-by": "u1 u2"}
    found = known(groups=(LIMITED_GROUP,), annotations=used)
    assert (found.role, found.uses, found.used, found.left, found.node) == ("agent", 3, 2, 1, "a1")
    assert "1 of 3" in list(token_lines([found], NOW))[1]


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (None, "https://10.77.0.11:6443"),
        ("api.example:443", "https://api.example:443"),
        ("127.0.0.1:7443", "https://10.77.0.11:6443"),
        ("localhost:7443", "https://10.77.0.11:6443"),
    ],
)
def test_nodes_join_at_the_endpoint_unless_it_is_the_operator_s_own_machine(endpoint: str | None, url: str) -> None:
    assert join_url(inventory(endpoint=endpoint)) == url


@pytest.mark.parametrize("text", ["abcdef", "abcdef.0123456789abcdef", "bootstrap-token-abcdef", " abcdef\n"])
def test_a_token_is_named_by_its_id_or_by_all_of_it(text: str) -> None:
    assert id_of(text) == "abcdef"


def test_what_names_no_token_is_refused_without_being_repeated() -> None:
    with pytest.raises(BadUse) as refused:
        id_of("abcdef.0123456789ABCDEF")
    assert "0123456789" not in str(refused.value)


def known(description: str = "made", **changes: object) -> KnownToken:
    return known_token(token_secret(TOKEN, expires=NOW, description=description, **changes))  # type: ignore[arg-type]


def test_a_token_is_known_with_everything_but_its_secret() -> None:
    found = known()
    assert (found.id, found.role, found.expires, found.usages) == (
        "abcdef",
        "agent",
        NOW,
        ("authentication", "signing"),
    )
    assert TOKEN.secret not in repr(found) + str(found.as_data(NOW))


def test_a_token_that_an_apply_made_for_a_join_is_told_from_others() -> None:
    found = known("clusterup: s2 joins")
    assert (found.role, found.node) == ("apply", "s2")


def test_a_token_of_other_groups_is_somebody_else_s() -> None:
    assert known(groups=("system:bootstrappers:example",)).role == "other"


def test_a_token_that_kubeadm_made_without_an_end_never_ends() -> None:
    secret = token_secret(TOKEN, expires=NOW, description="")
    del secret["data"]["expiration"]
    assert known_token(secret).expires is None
    assert not known_token(secret).expired(NOW)


def test_a_token_whose_end_no_one_can_read_is_over() -> None:
    secret = token_secret(TOKEN, expires=NOW, description="")
    secret["data"]["expiration"] = "bmV2ZXI="
    assert known_token(secret).expired(NOW)


def test_a_list_marks_what_is_over_and_lets_nothing_write_on_the_terminal() -> None:
    lines = list(token_lines([known("made\x1b[2J"), known()], NOW - timedelta(minutes=90)))
    assert lines[0].split() == ["ID", "ROLE", "ENDS", "IN", "LEFT", "NODE", "DESCRIPTION"]
    assert lines[1].split() == ["abcdef", "agent", "1h30m", "any", "any", r"made\x1b[2J"]
    assert "EXPIRED" in list(token_lines([known()], NOW))[1]


class Kept:
    """An API server that has the names of servers, or has not."""

    def __init__(self, names: str | None) -> None:
        self._names = names

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        assert (kind, name, namespace) == ("ConfigMap", "clusterup-servers", "kube-system")
        return None if self._names is None else {"data": {"servers": self._names}}


@pytest.mark.parametrize(("there", "names"), [("s1\ns9\n", "s1\ns4\ns9\n"), (None, "s1\ns2\ns4\n")])
def test_a_server_that_joins_by_itself_has_its_name_kept_before_the_next_apply(there: str | None, names: str) -> None:
    api = cast(KubeClient, Kept(there))
    assert add_server(api, "s4", ["s1", "s2"])["data"] == {"servers": names}
