"""What a machine says of itself: every answer is facts, or an error of that machine."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.engine.connections import Connections
from bootstrap.engine.events import Event, FactsRead, unobserved
from bootstrap.engine.gather import gather
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import NodeFacts
from bootstrap.facts.node import FIELDS, LONGEST, REQUIRED, parse_facts
from bootstrap.transport.base import Transport

DIGEST = "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456"
# Recorded from a machine of the lab: one in the live environment with data on its disk, and a server.
LIVE = f"""\
hostname\tclusterup
machine_id\t0123456789abcdef0123456789abcdef
boot_id\t0c6a4bb4-9f0f-4e4b-8f8e-6d1b0a1c5f3e
clock\t1700000000
memory\t2014236
cpus\t2
architecture\tx86_64
uefi\tyes
image\tclusterup\tlive\t1
interface\tenp0s2\t52:54:00:00:00:01\t10.0.2.15/24 10.77.0.11/24 \n\
partition\t/dev/vda\tesp
partition\t/dev/vda\tCLUSTERUP
disk\t/dev/vda\t8589934592\tlab-s1\tQEMU HARDDISK\t0\t\tpartitions: vda1 vfat ESP\t /dev/disk/by-id/virtio-lab-s1
range\t/dev/vda\thead\t{DIGEST}
end
"""
INSTALLED = f"""\
hostname\ts1
machine_id\t0123456789abcdef0123456789abcdef
boot_id\t7f1d3c52-2a7e-43f7-9d52-5b8a3d0e4c11
clock\t1700000000
memory\t2014236
cpus\t2
architecture\tx86_64
uefi\tyes
image\tclusterup\tos\t1
cluster\t{{"cluster": "lab", "id": "c0ffee", "node": "s1", "role": "server"}}
configuration\t{DIGEST}
etcd_data\tyes
trace\t/var/lib/etcd
payload\t{DIGEST}
interface\tenp0s2\t52:54:00:00:00:01\t10.0.2.15/24 \n\
file\t{DIGEST}\t/etc/kubernetes/pki/ca.crt
mode\t644\t/etc/kubernetes/pki/ca.crt
unit\tetcd.service\tactive\t1699999999\t{DIGEST}
unit\tkubelet.service\tinactive\t\t
end
"""
RECORDED = {"live": LIVE, "installed": INSTALLED}
DEEP = "[" * 100_000
AWKWARD = (
    "",
    "\t",
    "\n",
    "\r",
    "\x0c",
    "\u2028",
    "\x85",
    "\x1b]52;c;x\x07",
    "\x00",
    "\ufffd",
    "-1",
    "1e9",
    "٣",
    "1_0",
    "9" * 30,
)


def parsed(text: str) -> NodeFacts:
    return parse_facts(text, node="a7", at=1700000000.0)


def refused(text: str) -> ClusterupError:
    with pytest.raises(ClusterupError) as caught:
        parsed(text)
    assert (caught.value.node, caught.value.step) == ("a7", "facts")
    assert caught.value.hint
    assert len(str(caught.value)) < 1500
    return caught.value


def test_recorded_answers_are_understood() -> None:
    (disk,) = parsed(LIVE).disks
    assert (disk.model, disk.serial, disk.partitions, disk.ranges) == (
        "QEMU HARDDISK",
        "lab-s1",
        ("esp", "CLUSTERUP"),
        {"head": DIGEST},
    )
    facts = parsed(INSTALLED)
    assert (facts.kind, facts.cluster_id, facts.modes) == ("installed", "c0ffee", {"/etc/kubernetes/pki/ca.crt": 0o644})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("cpus\t2", "cpus"), "0 fields, not 1"),
        (lambda text: text.replace("cpus\t2", "cpus\ttwo"), "'two' is not a number"),
        (lambda text: text.replace("memory\t2014236", "memory\t"), "'' is not a number"),
        (lambda text: text.replace("clock\t1700000000", "clock\t" + "9" * 400), "is not a number"),
        (lambda text: text.replace("image\tclusterup\tlive\t1", "image\tclusterup"), "1 fields, not 3"),
        (lambda text: text.replace("\t52:54:00:00:00:01", ""), "2 fields, not 3"),
        (lambda text: text.replace("\t8589934592", "\t8 GB"), "'8 GB' is not a number"),
        (lambda text: text.replace("\tQEMU HARDDISK", "\tQEMU\tHARDDISK"), "9 fields, not 8"),
        (lambda text: text.replace("partition\t/dev/vda\tesp", "partition\t/dev/vda"), "1 fields, not 2"),
        (lambda text: text.replace("\thead", ""), "2 fields, not 3"),
        (lambda text: text.replace("hostname\tclusterup\n", ""), "it does not say: hostname"),
        (lambda text: "hostname\tother\n" + text, "said before, in line 1"),
        (lambda text: text.replace("end\n", ""), "virtio-lab-s1"),
        (lambda _: "", "nothing"),
        (lambda _: "x" * (LONGEST + 1), f"{LONGEST + 1} characters"),
    ],
)
def test_an_answer_that_is_not_as_it_should_be_is_named_by_its_line(change: Callable[[str], str], said: str) -> None:
    assert said in str(refused(change(LIVE)))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mode\t644", "mode\trw-r--r--", "'rw-r--r--' is not a mode"),
        ("mode\t644", "mode\t999", "'999' is not a mode"),
        ("trace\t/var/lib/etcd", "trace\t/var/lib\t/etcd", "2 fields, not 1"),
        ("file\t", "file\tx\t", "3 fields, not 2"),
        ("\t1699999999", "\tyesterday", "'yesterday' is not a number"),
        ("unit\tkubelet.service\tinactive\t\t", "unit\tkubelet.service", "1 fields, not 4"),
    ],
)
def test_so_is_one_of_an_installed_node(old: str, new: str, said: str) -> None:
    assert said in str(refused(INSTALLED.replace(old, new)))


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x0c", "\x0b", "\x85", "\x1c", "\x1e", "\r"])
def test_only_a_line_feed_ends_a_line(separator: str) -> None:
    (disk,) = parsed(LIVE.replace("QEMU HARDDISK", f"QEMU{separator}HARDDISK")).disks
    assert disk.model == f"QEMU{separator}HARDDISK"


def test_what_a_login_shell_says_besides_is_passed_over() -> None:
    assert parsed(f"Welcome to s1!\n\tLast login: yesterday\n{LIVE}goodbye\n") == parsed(LIVE)


def test_a_membership_that_no_one_can_read_is_none() -> None:
    for told in (DEEP, "{}", "[]", "null", '"x"', '{"id"'):
        assert (
            parsed(
                INSTALLED.replace(json.dumps({"cluster": "lab", "id": "c0ffee", "node": "s1", "role": "server"}), told)
            ).cluster_id
            is None
        )


@given(st.sampled_from(sorted(RECORDED)), st.integers(0, 2**32), st.integers(1, 6))
def test_every_mutation_of_a_recorded_answer_is_facts_or_an_error_of_the_node(name: str, seed: int, times: int) -> None:
    chance = random.Random(seed)
    text = RECORDED[name]
    for _ in range(times):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.choice((0, 1, 5, 60)))
        middle = chance.choice((*AWKWARD, text[at:to] * 2, chance.choice([*FIELDS]), DEEP))
        text = text[:at] + middle + text[to:]
    try:
        assert isinstance(parsed(text), NodeFacts)
    except ClusterupError as error:
        assert error.node == "a7"
        assert str(error).replace("\n", "").isprintable()


@given(st.binary(max_size=400))
def test_so_is_every_answer_of_bytes(said: bytes) -> None:
    head = "".join(f"{word}\t1\n" for word in REQUIRED)
    for text in (said.decode("utf-8", "replace"), head + said.decode("utf-8", "replace") + "\nend\n"):
        try:
            assert isinstance(parsed(text), NodeFacts)
        except ClusterupError as error:
            assert error.node == "a7"


class Way:
    """A way into a node that does nothing but be closed."""

    alive = True

    def __init__(self, node: str) -> None:
        self.node = node

    def close(self) -> None:
        pass


def test_what_no_one_expected_of_one_node_is_that_node_s_error_and_the_others_are_read() -> None:
    seen: list[Event] = []

    def read(way: Transport) -> str:
        if way.node == "s2":
            raise KeyError("a field that no one ever saw \x1b[2J")
        return way.node

    ways = Connections(lambda name: cast(Transport, Way(name)))
    found = gather(["s1", "s2", "s3"], read, ways, parallel=2, observe=seen.append)
    assert found.values == {"s1": "s1", "s3": "s3"}
    error = found.errors["s2"]
    assert str(error).startswith("s2: facts: an error in clusterup itself")
    assert r"\x1b[2J" in str(error)
    assert sorted(event.node for event in seen if isinstance(event, FactsRead) and event.error) == ["s2"]


def test_an_observer_that_fails_is_no_node_s_failure() -> None:
    def gone(_: Event) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        gather(
            ["s1"], lambda way: way.node, Connections(lambda name: cast(Transport, Way(name))), parallel=1, observe=gone
        )
    assert (
        gather(
            [],
            lambda way: way.node,
            Connections(lambda name: cast(Transport, Way(name))),
            parallel=1,
            observe=unobserved,
        ).values
        == {}
    )
