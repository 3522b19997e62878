"""What unbound is told when names change."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bootstrap.node.names.names import NameChange
from bootstrap.node.names.unbound import Control, NotRunning, change, differences, there

NOTHING: frozenset[str] = frozenset()


class Told:
    """Notes what it is told, and says what it was given to say."""

    def __init__(self, says: str = "") -> None:
        self.says, self.commands = says, list[tuple[str, list[str]]]()

    def __call__(self, words: tuple[str, ...], given: str) -> str:
        self.commands.append((" ".join(words), given.splitlines()))
        return self.says


def changed(name: str, before: str, after: str) -> NameChange:
    return NameChange(name, frozenset(before.split(",")) - {""}, frozenset(after.split(",")) - {""})


def told(*changes: NameChange, others: Mapping[str, frozenset[str]] | None = None) -> list[tuple[str, list[str]]]:
    found = Told()
    wanted = {each.name: each.after for each in changes} | dict(others or {})
    change(found, changes, lambda name: wanted.get(name, NOTHING))
    return found.commands


def test_a_new_name_is_added_and_one_that_is_gone_is_removed() -> None:
    assert told(changed("a.x.", "", "A 10.0.0.1")) == [("local_datas", ["a.x. 5 IN A 10.0.0.1"])]
    assert told(changed("a.x.", "A 10.0.0.1", "")) == [("local_datas_remove", ["a.x."])]


def test_a_name_that_only_grows_is_added_to() -> None:
    assert told(changed("a.x.", "A 10.0.0.1", "A 10.0.0.1,A 10.0.0.2")) == [("local_datas", ["a.x. 5 IN A 10.0.0.2"])]


def test_a_name_that_becomes_another_one_stands_in_the_view_meanwhile() -> None:
    assert told(changed("a.x.", "A 10.0.0.1", "A 10.0.0.2")) == [
        ("view_local_datas changing", ["a.x. 5 IN A 10.0.0.2"]),
        ("local_datas_remove", ["a.x."]),
        ("local_datas", ["a.x. 5 IN A 10.0.0.2"]),
        ("view_local_datas_remove changing", ["a.x."]),
    ]


def test_a_name_above_it_stands_in_the_view_as_well_and_is_the_last_to_leave_it() -> None:
    above = {"a.x.": frozenset({"A 10.0.0.9"})}
    commands = told(changed("b.a.x.", "A 10.0.0.1", "A 10.0.0.2"), others=above)
    assert commands[0] == ("view_local_datas changing", ["a.x. 5 IN A 10.0.0.9", "b.a.x. 5 IN A 10.0.0.2"])
    assert commands[-1] == ("view_local_datas_remove changing", ["b.a.x.", "a.x."])
    assert commands[1:-1] == [("local_datas_remove", ["b.a.x."]), ("local_datas", ["b.a.x. 5 IN A 10.0.0.2"])]


def test_a_name_that_points_elsewhere_is_a_zone_of_its_own() -> None:
    assert told(changed("a.x.", "", "CNAME www.example.com.")) == [
        ("local_zone a.x. redirect", []),
        ("local_datas", ["a.x. 5 IN CNAME www.example.com."]),
    ]


def test_its_zone_goes_before_the_name_becomes_another_one() -> None:
    assert told(changed("a.x.", "CNAME www.example.com.", "A 10.0.0.1")) == [
        ("local_datas_remove", ["a.x."]),
        ("local_zone_remove a.x.", []),
        ("local_datas", ["a.x. 5 IN A 10.0.0.1"]),
    ]


def test_what_unbound_knows_of_services_is_told_from_what_is_in_its_configuration() -> None:
    says = (
        "localhost.\t10800\tIN\tA\t127.0.0.1\n"
        "1.0.0.127.in-addr.arpa.\t10800\tIN\tPTR\tlocalhost.\n"
        "cluster.local.\t5\tIN\tSOA\tns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5\n"
        "ns.dns.cluster.local.\t5\tIN\tA\t10.96.0.10\n"
        'dns-version.cluster.local.\t28800\tIN\tTXT\t"1.1.0"\n'
        "web.default.svc.cluster.local.\t5\tIN\tA\t10.96.0.7\n"
        "web.default.svc.cluster.local.\t5\tIN\tAAAA\t2001:DB8:0::7\n"
        "7.0.96.10.in-addr.arpa.\t5\tIN\tPTR\tweb.default.svc.cluster.local.\n"
    )
    assert there(Told(says), "cluster.local") == {
        "web.default.svc.cluster.local.": {"A 10.96.0.7", "AAAA 2001:db8::7"},
        "7.0.96.10.in-addr.arpa.": {"PTR web.default.svc.cluster.local."},
    }


def test_what_has_to_change_is_what_differs() -> None:
    same, old, fresh = frozenset({"A 10.0.0.1"}), frozenset({"A 10.0.0.2"}), frozenset({"A 10.0.0.3"})
    found = {"same.x.": same, "gone.x.": old, "other.x.": old}
    wanted = [("same.x.", same), ("new.x.", fresh), ("other.x.", fresh)]
    assert set(differences(found, wanted)) == {
        NameChange("gone.x.", old, NOTHING),
        NameChange("new.x.", NOTHING, fresh),
        NameChange("other.x.", old, fresh),
    }


@pytest.mark.parametrize("program", ["false", "/nowhere/unbound-control"])
def test_one_that_does_not_answer_is_not_running(program: str) -> None:
    with pytest.raises(NotRunning, match="list_local_data"):
        Control("/nowhere", program)(("list_local_data",))
