"""All names of the cluster, as Services and their endpoints come and go."""

from __future__ import annotations

from bootstrap.node.names.names import NameChange, Names
from bootstrap.node.names.records import Endpoint, Service, Slice
from bootstrap.node.watch.mirror import Change

NOTHING: frozenset[str] = frozenset()


def at(name: str, *addresses: str) -> Service:
    return Service("default", name, addresses, (), headless=False, external="", unready=False)


def headless(name: str) -> Service:
    return Service("default", name, (), (), headless=True, external="", unready=False)


def external(name: str, target: str) -> Service:
    return Service("default", name, (), (), headless=False, external=target, unready=False)


def pods(service: str, *hosts: tuple[str, str]) -> Slice:
    return Slice(f"default/{service}", tuple(Endpoint((address,), host, ready=True) for host, address in hosts), ())


def new(service: Service) -> Change[Service]:
    return Change(f"default/{service.name}", None, service)


def test_a_service_that_comes_and_goes_brings_its_names_and_takes_them_along() -> None:
    names = Names("cluster.local")
    web = at("web", "10.96.0.7")
    assert {change.name for change in names.update([new(web)], [])} == {
        "web.default.svc.cluster.local.",
        "7.0.96.10.in-addr.arpa.",
    }
    assert names.wanted("web.default.svc.cluster.local.") == {"A 10.96.0.7"}
    gone = names.update([Change("default/web", web, None)], [])
    assert all(change.after == NOTHING for change in gone)
    assert len(gone) == 2
    assert list(names) == []


def test_a_change_of_one_pod_changes_the_names_that_it_is_in_and_no_other() -> None:
    names = Names("cluster.local")
    before = pods("db", ("db-0", "10.244.0.5"), ("db-1", "10.244.1.5"))
    after = pods("db", ("db-0", "10.244.0.5"), ("db-1", "10.244.2.9"))
    names.update([new(headless("db"))], [Change("default/db-x", None, before)])
    changed = names.update([], [Change("default/db-x", before, after)])
    own = "db.default.svc.cluster.local."
    assert sorted(changed, key=lambda change: change.name) == [
        NameChange("5.1.244.10.in-addr.arpa.", frozenset({f"PTR db-1.{own}"}), NOTHING),
        NameChange("9.2.244.10.in-addr.arpa.", NOTHING, frozenset({f"PTR db-1.{own}"})),
        NameChange(f"db-1.{own}", frozenset({"A 10.244.1.5"}), frozenset({"A 10.244.2.9"})),
        NameChange(own, frozenset({"A 10.244.0.5", "A 10.244.1.5"}), frozenset({"A 10.244.0.5", "A 10.244.2.9"})),
    ]


def test_endpoints_may_come_before_their_service() -> None:
    names = Names("cluster.local")
    assert names.update([], [Change("default/db-x", None, pods("db", ("db-0", "10.244.0.5")))]) == []
    names.update([new(headless("db"))], [])
    assert names.wanted("db-0.db.default.svc.cluster.local.") == {"A 10.244.0.5"}


def test_a_pod_behind_two_services_keeps_the_name_of_the_one_that_stays() -> None:
    names = Names("cluster.local")
    first, second = pods("one", ("pod", "10.244.0.5")), pods("two", ("pod", "10.244.0.5"))
    names.update(
        [new(headless("one")), new(headless("two"))],
        [Change("default/one-x", None, first), Change("default/two-x", None, second)],
    )
    reverse = "5.0.244.10.in-addr.arpa."
    assert len(names.wanted(reverse)) == 2
    names.update([Change("default/one", headless("one"), None)], [])
    assert names.wanted(reverse) == {"PTR pod.two.default.svc.cluster.local."}


def test_a_name_that_points_to_another_one_of_the_cluster_has_its_records_and_follows_them() -> None:
    names = Names("cluster.local")
    names.update([new(external("alias", "web.default.svc.cluster.local."))], [])
    alias = "alias.default.svc.cluster.local."
    assert names.wanted(alias) == NOTHING
    web = at("web", "10.96.0.7")
    names.update([new(web)], [])
    assert names.wanted(alias) == {"A 10.96.0.7"}
    names.update([Change("default/web", web, at("web", "10.96.0.8"))], [])
    assert names.wanted(alias) == {"A 10.96.0.8"}


def test_names_that_point_in_a_chain_end_where_the_chain_ends_and_a_circle_has_none() -> None:
    names = Names("cluster.local")
    suffix = "default.svc.cluster.local."
    names.update(
        [
            new(external("a", f"b.{suffix}")),
            new(external("b", f"c.{suffix}")),
            new(external("c", "www.example.com.")),
            new(external("x", f"y.{suffix}")),
            new(external("y", f"x.{suffix}")),
            new(external("z", f"z.{suffix}")),
        ],
        [],
    )
    assert names.wanted(f"a.{suffix}") == {"CNAME www.example.com."}
    assert all(names.wanted(f"{name}.{suffix}") == NOTHING for name in "xyz")


def test_names_that_come_to_point_to_each_other_have_no_records_left() -> None:
    names = Names("cluster.local")
    suffix = "default.svc.cluster.local."
    web, first, second = at("web", "10.96.0.7"), external("x", f"web.{suffix}"), external("y", f"x.{suffix}")
    names.update([new(web), new(first), new(second)], [])
    assert names.wanted(f"y.{suffix}") == {"A 10.96.0.7"}
    names.update([Change("default/x", first, external("x", f"y.{suffix}"))], [])
    assert names.wanted(f"x.{suffix}") == names.wanted(f"y.{suffix}") == NOTHING
