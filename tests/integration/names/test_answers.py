"""What pods are answered: a real unbound with the configuration of a node, told as the node's agent tells it."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from pathlib import Path

from bootstrap.node.names.known import NOBODY, known
from bootstrap.node.names.names import NameChange
from bootstrap.node.names.unbound import change, there, tidy
from tests.integration.names.conftest import CORPORATE, inventory, versions
from tests.integration.names.unbound_server import ASKS_THIS_MACHINE, Unbound, running_unbound
from tests.integration.names.upstream import name_server

NOTHING: frozenset[str] = frozenset()
DOMAIN = "cluster.local"
WEB = "web.default.svc.cluster.local."


def put(unbound: Unbound, **names: str) -> None:
    """Names below default.svc.cluster.local get these records, separated by commas, in place of what they had."""
    had = there(unbound.control, DOMAIN)
    wanted = {f"{name}.default.svc.{DOMAIN}.": frozenset(text.split(",")) - {""} for name, text in names.items()}
    changes = [NameChange(name, had.get(name, NOTHING), after) for name, after in wanted.items()]
    change(unbound.control, changes, lambda name: {**had, **wanted}.get(name, NOTHING))


def test_it_answers_for_the_cluster_from_its_first_start_on(unbound: Unbound) -> None:
    assert unbound.records("dns-version.cluster.local", "TXT") == {'TXT "1.1.0"'}
    assert unbound.answer(WEB) == ("NXDOMAIN", NOTHING)
    assert unbound.answer("9.0.96.10.in-addr.arpa", "PTR") == ("NXDOMAIN", NOTHING)


def test_a_name_of_others_fails_at_once_while_nobody_is_known_to_ask(tmp_path: Path) -> None:
    with running_unbound(tmp_path, inventory({}), versions()) as unbound:
        assert unbound.answer("www.example.com") == ("SERVFAIL", NOTHING)
        unbound.control(("forward_add", ".", NOBODY))
        assert unbound.answer("www.example.org") == ("SERVFAIL", NOTHING)


def test_names_come_change_and_go(unbound: Unbound) -> None:
    put(unbound, web="A 10.96.0.7")
    assert unbound.records(WEB) == {"A 10.96.0.7"}
    put(unbound, web="A 10.96.0.8")
    assert unbound.records(WEB) == {"A 10.96.0.8"}
    put(unbound, web="")
    assert unbound.answer(WEB) == ("NXDOMAIN", NOTHING)


def test_names_are_found_in_capital_letters_too(unbound: Unbound) -> None:
    put(unbound, web="A 10.96.0.7")
    assert unbound.records("Web.Default.SVC.Cluster.Local") == {"A 10.96.0.7"}


def test_a_name_without_records_of_a_kind_exists_all_the_same(unbound: Unbound) -> None:
    put(unbound, web="A 10.96.0.7")
    assert unbound.answer(WEB, "AAAA") == ("NOERROR", NOTHING)


def test_a_thousand_pods_are_answered_over_tcp(unbound: Unbound) -> None:
    addresses = [f"A 10.244.{number // 250}.{number % 250}" for number in range(1000)]
    put(unbound, web=",".join(addresses))
    assert unbound.answer(WEB, tcp=True) == ("NOERROR", frozenset(addresses))


def test_what_points_outside_is_followed(unbound: Unbound, outside: str) -> None:
    unbound.control(("forward_add", ".", outside))
    put(unbound, web="CNAME www.example.com.")
    assert unbound.records(WEB) == {"CNAME www.example.com.", "A 192.0.2.53"}
    put(unbound, web="A 10.96.0.7")
    assert unbound.records(WEB) == {"A 10.96.0.7"}
    put(unbound, web="CNAME www.example.com.")
    put(unbound, web="")
    assert unbound.answer(WEB) == ("NXDOMAIN", NOTHING)


def test_everything_else_is_asked_of_the_nodes_name_servers_names_of_ones_own_network_too(
    unbound: Unbound, outside: str
) -> None:
    unbound.control(("forward_add", ".", outside))
    assert unbound.records("www.example.com") == {"A 192.0.2.53"}
    assert unbound.records("nas.home.arpa") == {"A 192.168.1.5"}
    assert unbound.records("5.1.168.192.in-addr.arpa", "PTR") == {"PTR nas.home.arpa."}
    assert unbound.answer("nothing.example.com") == ("NXDOMAIN", NOTHING)


def test_a_domain_may_have_name_servers_of_its_own(tmp_path: Path, outside: str) -> None:
    with name_server(CORPORATE) as corporate:
        whole = inventory({"forward": {"corp.example": ["192.0.2.3"]}})
        with running_unbound(tmp_path, whole, versions(), ASKS_THIS_MACHINE) as unbound:
            assert "corp.example. IN forward 192.0.2.3" in unbound.control(("list_forwards",)).splitlines()
            unbound.control(("forward_add", "corp.example.", corporate))
            unbound.control(("forward_add", ".", outside))
            assert unbound.records("git.corp.example") == {"A 10.1.2.9"}
            assert unbound.records("www.example.com") == {"A 192.0.2.53"}


def test_it_starts_with_what_it_knew(tmp_path: Path, outside: str) -> None:
    names = [(WEB, frozenset({"A 10.96.0.7"})), (f"alias.{WEB}", frozenset({"CNAME www.example.com."}))]
    (tmp_path / "names.conf").write_text(known(names, [outside]))
    with running_unbound(tmp_path, inventory({}), versions(), ASKS_THIS_MACHINE) as unbound:
        assert unbound.records(WEB) == {"A 10.96.0.7"}
        assert unbound.records(f"alias.{WEB}") == {"CNAME www.example.com.", "A 192.0.2.53"}
        assert there(unbound.control, DOMAIN) == dict(names)


def test_a_name_is_there_all_the_time_while_its_pods_change(unbound: Unbound) -> None:
    """The name above it as well; each answer is one that was true at some moment."""
    own, pod = "db.default.svc.cluster.local.", "db-0.db.default.svc.cluster.local."
    put(unbound, db="A 10.244.0.1", **{"db-0.db": "A 10.244.0.1"})
    answers: Counter[tuple[str, bool]] = Counter()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            for name, kind in ((own, "A"), (pod, "A"), (pod, "AAAA")):
                code, records = unbound.answer(name, kind)
                answers[code, bool(records) == (kind == "A")] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(2, 12):
        put(unbound, db=f"A 10.244.0.{number},A 10.244.1.{number}", **{"db-0.db": f"A 10.244.0.{number}"})
    over.set()
    asking.join()
    assert set(answers) == {("NOERROR", True)}
    assert answers["NOERROR", True] > 100


def test_nothing_is_left_behind_by_changes(unbound: Unbound) -> None:
    before = unbound.control(("list_local_data",))
    put(unbound, db="A 10.244.0.1", **{"db-0.db": "A 10.244.0.1"})
    put(unbound, db="A 10.244.0.2", **{"db-0.db": "A 10.244.0.2"})
    put(unbound, db="", **{"db-0.db": ""})
    assert unbound.control(("list_local_data",)) == before
    assert unbound.control(("view_list_local_data", "changing")) == ""


def test_what_an_interrupted_change_left_is_taken_away(unbound: Unbound) -> None:
    put(unbound, web="A 10.96.0.7")
    unbound.control(("view_local_data", "changing", f"{WEB} 5 IN A 10.96.0.99"))
    unbound.control(("local_zone", "alias.default.svc.cluster.local.", "redirect"))
    assert unbound.records(WEB) == {"A 10.96.0.99"}
    tidy(unbound.control, DOMAIN, lambda name: frozenset({"A 10.96.0.7"}) if name == WEB else NOTHING)
    assert unbound.records(WEB) == {"A 10.96.0.7"}
    put(unbound, **{"alias": "A 10.96.0.8", "child.alias": "A 10.96.0.9"})
    assert unbound.records("child.alias.default.svc.cluster.local") == {"A 10.96.0.9"}


def test_what_it_knew_is_checked_before_it_starts_with_it(unbound: Unbound) -> None:
    """The unit asks unbound-checkconf, and leaves out what that refuses."""
    checked = [str(unbound.folder / "unbound-checkconf"), str(unbound.folder / "unbound.conf")]
    assert subprocess.run(checked, capture_output=True, check=False).returncode == 0
    too_long = f"_{'x' * 63}._tcp.{WEB}"
    names = [(too_long, frozenset({"SRV 0 100 80 web.default.svc.cluster.local."}))]
    (unbound.folder / "names.conf").write_text(known(names, []))
    assert subprocess.run(checked, capture_output=True, check=False).returncode != 0
