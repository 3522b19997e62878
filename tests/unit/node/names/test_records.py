"""Which names a Service has, record by record as Kubernetes' specification of DNS has its examples (1.1.0)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bootstrap.node.names.records import Service, Slice, records_of, service_of, slice_of

DOMAIN = "cluster.local"


def service(name: str, **spec: Any) -> Service:
    return service_of({"metadata": {"namespace": "default", "name": name}, "spec": spec})


def slice_(service_name: str, endpoints: Iterable[dict[str, Any]], ports: Any = None, kind: str = "IPv4") -> Slice:
    found = slice_of(
        {
            "metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": service_name}},
            "addressType": kind,
            "endpoints": list(endpoints),
            "ports": ports,
        }
    )
    assert found is not None
    return found


def test_a_service_with_an_address_is_found_by_name_by_port_and_by_address() -> None:
    kubernetes = service(
        "kubernetes",
        clusterIP="10.3.0.1",
        ports=[{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}],
    )
    assert records_of(kubernetes, [], DOMAIN) == {
        "kubernetes.default.svc.cluster.local.": {"A 10.3.0.1"},
        "_https._tcp.kubernetes.default.svc.cluster.local.": {"SRV 0 100 443 kubernetes.default.svc.cluster.local."},
        "1.0.3.10.in-addr.arpa.": {"PTR kubernetes.default.svc.cluster.local."},
    }


def test_a_service_with_addresses_of_both_families_has_both() -> None:
    found = records_of(service("web", clusterIP="10.3.0.1", clusterIPs=["10.3.0.1", "2001:db8::1"]), [], DOMAIN)
    assert found["web.default.svc.cluster.local."] == {"A 10.3.0.1", "AAAA 2001:db8::1"}
    reverse = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
    assert found[reverse] == {"PTR web.default.svc.cluster.local."}


def test_a_port_without_a_name_has_no_srv_record() -> None:
    found = records_of(service("web", clusterIP="10.3.0.1", ports=[{"protocol": "TCP", "port": 80}]), [], DOMAIN)
    assert set(found) == {"web.default.svc.cluster.local.", "1.0.3.10.in-addr.arpa."}


def test_a_headless_service_has_the_addresses_of_its_ready_pods_each_with_a_name_of_its_own() -> None:
    ready = slice_(
        "headless",
        [
            {"addresses": ["10.3.0.100"], "hostname": "my-pet", "conditions": {"ready": True}},
            {"addresses": ["10.3.0.101"], "conditions": {"ready": True}},
            {"addresses": ["10.3.0.102"], "hostname": "not-yet", "conditions": {"ready": False}},
        ],
        [{"name": "https", "protocol": "TCP", "port": 443}, {"name": "", "protocol": "UDP", "port": 53}],
    )
    own = "headless.default.svc.cluster.local."
    assert records_of(service("headless", clusterIP="None"), [ready], DOMAIN) == {
        own: {"A 10.3.0.100", "A 10.3.0.101"},
        f"my-pet.{own}": {"A 10.3.0.100"},
        f"10-3-0-101.{own}": {"A 10.3.0.101"},
        f"_https._tcp.{own}": {f"SRV 0 100 443 my-pet.{own}", f"SRV 0 100 443 10-3-0-101.{own}"},
        "100.0.3.10.in-addr.arpa.": {f"PTR my-pet.{own}"},
        "101.0.3.10.in-addr.arpa.": {f"PTR 10-3-0-101.{own}"},
    }


def test_what_is_said_of_no_endpoint_counts_as_ready() -> None:
    found = records_of(service("x", clusterIP="None"), [slice_("x", [{"addresses": ["10.3.0.9"]}])], DOMAIN)
    assert found["x.default.svc.cluster.local."] == {"A 10.3.0.9"}


@pytest.mark.parametrize(
    "asked",
    [
        {"spec": {"clusterIP": "None", "publishNotReadyAddresses": True}},
        {
            "spec": {"clusterIP": "None"},
            "metadata": {"annotations": {"service.alpha.kubernetes.io/tolerate-unready-endpoints": "true"}},
        },
    ],
)
def test_pods_that_are_not_ready_count_where_a_service_asks_for_that(asked: dict[str, Any]) -> None:
    metadata = {"namespace": "default", "name": "x", **asked.get("metadata", {})}
    found = service_of({"metadata": metadata, "spec": asked["spec"]})
    part = slice_("x", [{"addresses": ["10.3.0.9"], "conditions": {"ready": False}}])
    assert records_of(found, [part], DOMAIN)["x.default.svc.cluster.local."] == {"A 10.3.0.9"}


def test_a_headless_service_without_ready_pods_has_no_name() -> None:
    assert records_of(service("x", clusterIP="None"), [], DOMAIN) == {}


def test_pods_behind_an_address_have_no_names() -> None:
    part = slice_("web", [{"addresses": ["10.244.1.5"], "hostname": "pod"}])
    assert "10.244.1.5" not in str(records_of(service("web", clusterIP="10.3.0.1"), [part], DOMAIN))


def test_an_external_name_points_there() -> None:
    found = records_of(service("foo", type="ExternalName", externalName="www.Example.com"), [], DOMAIN)
    assert found == {"foo.default.svc.cluster.local.": {"CNAME www.example.com."}}


def test_a_service_that_has_no_address_yet_has_no_name() -> None:
    assert records_of(service("web", ports=[{"name": "http", "port": 80}]), [], DOMAIN) == {}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"metadata": 5},
        {"metadata": {"namespace": "default", "name": "x"}, "spec": {"clusterIP": "nowhere"}},
        {"metadata": {"namespace": "default", "name": 'x" A 1.2.3.4'}, "spec": {"clusterIP": "10.3.0.1"}},
        {
            "metadata": {"namespace": "default", "name": "x"},
            "spec": {"type": "ExternalName", "externalName": 'a"\nlocal-data: "b'},
        },
        {"metadata": {"namespace": "default", "name": "x"}, "spec": {"type": "ExternalName"}},
        {"metadata": {"namespace": "default", "name": "x"}, "spec": {"clusterIP": "10.3.0.1", "ports": [5]}},
    ],
)
def test_what_is_no_service_is_said_and_never_becomes_a_record(odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a Service can't be understood"):
        service_of(odd)


def test_slices_of_names_and_of_no_service_are_left_out() -> None:
    metadata = {"namespace": "default", "labels": {"kubernetes.io/service-name": "x"}}
    assert slice_of({"metadata": metadata, "addressType": "FQDN", "endpoints": []}) is None
    assert slice_of({"metadata": {"namespace": "default"}, "addressType": "IPv4", "endpoints": []}) is None


def test_a_port_whose_name_is_too_long_for_dns_has_no_srv_record_and_takes_no_other_name_along() -> None:
    ports = [{"name": "x" * 63, "port": 80}, {"name": "x" * 62, "port": 81}]
    found = records_of(service("web", clusterIP="10.3.0.1", ports=ports), [], DOMAIN)
    own = "web.default.svc.cluster.local."
    assert set(found) == {own, f"_{'x' * 62}._tcp.{own}", "1.0.3.10.in-addr.arpa."}


def test_a_name_that_is_too_long_as_a_whole_is_none() -> None:
    domain = ".".join(["d" * 60] * 4)
    assert set(records_of(service("web", clusterIP="10.3.0.1"), [], domain)) == set()


def test_an_address_with_text_behind_it_never_becomes_a_record() -> None:
    with pytest.raises(ValueError, match="can't be understood"):
        slice_("x", [{"addresses": ['fe80::1%x"\nlocal-data: "a']}], kind="IPv6")
