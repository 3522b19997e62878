"""Whom a node asks for names that are not the cluster's."""

from __future__ import annotations

from pathlib import Path

from bootstrap.node.names.known import NOBODY, known
from bootstrap.node.names.resolvers import own_resolvers

OWN = "10.96.0.10"


def files(folder: Path, configured: str, learned: str = "") -> tuple[Path, Path]:
    paths = folder / "resolv.conf", folder / "learned"
    for path, text in zip(paths, (configured, learned), strict=True):
        if text:
            path.write_text(text)
    return paths


def test_they_are_those_of_resolv_conf(tmp_path: Path) -> None:
    paths = files(tmp_path, "# written by hand\nsearch example.org\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    assert own_resolvers(OWN, *paths) == ("192.0.2.1", "192.0.2.2")


def test_where_it_names_this_machine_they_are_what_resolved_has_learned(tmp_path: Path) -> None:
    paths = files(tmp_path, "nameserver 127.0.0.53\n", "nameserver 192.0.2.1\nnameserver fe80::1%2\n")
    assert own_resolvers(OWN, *paths) == ("192.0.2.1",)


def test_the_cluster_s_own_is_never_among_them(tmp_path: Path) -> None:
    assert own_resolvers(OWN, *files(tmp_path, f"nameserver {OWN}\nnameserver 192.0.2.1\n")) == ("192.0.2.1",)


def test_a_node_may_have_none(tmp_path: Path) -> None:
    assert own_resolvers(OWN, *files(tmp_path, "nameserver\nnameserver nonsense\n")) == ()
    assert own_resolvers(OWN, tmp_path / "none", tmp_path / "none either") == ()


def test_what_is_kept_for_the_next_start_holds_names_and_whom_to_ask() -> None:
    names = [("b.x.", frozenset({"CNAME www.example.com."})), ("a.x.", frozenset({"A 10.0.0.1", "A 10.0.0.2"}))]
    assert known(names, ["192.0.2.1"]).splitlines() == [
        "server:",
        'local-data: "a.x. 5 IN A 10.0.0.1"',
        'local-data: "a.x. 5 IN A 10.0.0.2"',
        'local-zone: "b.x." redirect',
        'local-data: "b.x. 5 IN CNAME www.example.com."',
        "forward-zone:",
        'name: "."',
        "forward-addr: 192.0.2.1",
    ]


def test_without_a_name_server_nobody_is_asked() -> None:
    assert known([], []).endswith(f'name: "."\nforward-addr: {NOBODY}\n')
