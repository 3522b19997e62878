"""What is wrong with a node, of what it says of itself."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bootstrap.doctor import on_node
from bootstrap.doctor.findings import Finding, Weight
from bootstrap.doctor.node import clocks, judged, read_health
from bootstrap.doctor.person import Person
from bootstrap.errors import ClusterupError
from bootstrap.pki.x509 import Usage, issue, new_authority
from tests.helpers.local_transport import LocalTransport

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=20)
PERSON = Person("lab.yaml")
GIB = 1 << 30
DISK = {"path": "/var", "size": 10 * GIB, "free": 5 * GIB, "inodes": 1000, "inodes_free": 500, "readonly": False}
UNIT = {
    "name": "kubelet.service",
    "active": "active",
    "sub": "running",
    "result": "success",
    "restarts": 0,
    "runs_for": 60,
}
WELL: dict[str, Any] = {
    "memory": {"total": 2 * GIB, "available": GIB},
    "killed": 0,
    "filesystems": [DISK],
    "clock_was_set": True,
    "units": [],
    "kernel": [],
    "routes": {"default": True},
    "name_servers": [{"address": "10.0.0.1", "problem": ""}],
    "cluster_names": {"address": "10.96.0.10", "problem": ""},
    "certificates": {},
}


def found_in(**said: object) -> list[Finding]:
    """What is wrong with a node that is well but for that."""
    return list(judged("s1", WELL | said, PERSON, NOW))


def test_a_node_that_is_well_has_no_finding() -> None:
    assert found_in() == []


@pytest.mark.parametrize(
    ("said", "weight", "words"),
    [
        ({"memory": {"total": 2 * GIB, "available": GIB // 100}}, Weight.WARNING, "memory is nearly used up"),
        ({"killed": 3}, Weight.WARNING, "ended processes for want of memory"),
        ({"filesystems": [DISK | {"readonly": True}]}, Weight.FAULT, "nothing can be written to /var"),
        ({"filesystems": [DISK | {"free": GIB + GIB // 4}]}, Weight.WARNING, "/var fills up"),
        ({"filesystems": [DISK | {"free": GIB // 2}]}, Weight.FAULT, "/var is nearly full"),
        ({"filesystems": [DISK | {"inodes_free": 10}]}, Weight.FAULT, "no room for more files"),
        ({"clock_was_set": False}, Weight.WARNING, "nothing keeps its clock right"),
        ({"units": [UNIT | {"active": "failed", "result": "exit-code"}]}, Weight.FAULT, "kubelet.service has failed"),
        ({"units": [UNIT | {"active": "activating", "restarts": 2}]}, Weight.FAULT, "does not stay up"),
        ({"units": [UNIT | {"restarts": 9}]}, Weight.WARNING, "ended by itself many times"),
        ({"not_known": {"units": "TimeoutExpired: systemctl"}}, Weight.WARNING, "can't be found out"),
        ({"kernel": ["I/O error, dev vda, sector 8"]}, Weight.FAULT, "trouble with a disk"),
        ({"routes": {"default": False}}, Weight.WARNING, "no way to other networks"),
        ({"name_servers": []}, Weight.WARNING, "no name server"),
        ({"cluster_names": {"address": "10.96.0.10", "problem": "refused"}}, Weight.FAULT, "pods on it find no names"),
        ({"name_servers": [{"address": "10.0.0.1", "problem": "no answer"}]}, Weight.WARNING, "none of its name"),
    ],
)
def test_each_thing_that_is_wrong_is_named_with_what_was_seen_and_what_to_do(
    said: dict[str, object], weight: Weight, words: str
) -> None:
    (finding,) = found_in(**said)
    assert (finding.weight, finding.where) == (weight, "s1")
    assert words in finding.what
    assert finding.why
    assert finding.mend


@pytest.mark.parametrize("well", [{"restarts": 1}, {"restarts": 50, "runs_for": 5000}])
def test_a_service_that_began_again_once_or_long_ago_and_runs_is_well(well: dict[str, int]) -> None:
    assert found_in(units=[UNIT | well]) == []


def test_pods_are_spoken_of_where_they_are_alone() -> None:
    (of_state,) = found_in(filesystems=[DISK | {"free": GIB // 2}])
    (other,) = found_in(filesystems=[DISK | {"path": "/run", "free": GIB // 2}])
    assert "pods are taken away" in of_state.what
    assert other.what == "/run is nearly full"


def test_names_from_a_node_are_quoted_in_what_a_person_copies() -> None:
    (finding,) = found_in(units=[UNIT | {"name": "x; rm -rf ~.service", "active": "failed"}])
    assert finding.mend == "clusterup logs s1 'x; rm -rf ~' -i lab.yaml says why"


def test_one_silent_name_server_of_two_is_said_to_be_the_one() -> None:
    (finding,) = found_in(
        name_servers=[
            {"address": "10.0.0.1", "problem": ""},
            {"address": "10.0.0.2", "problem": "no answer within 2 s"},
        ]
    )
    assert "not each of its name servers" in finding.what
    assert finding.why == "10.0.0.2 (no answer within 2 s)"


def certificate(days: int) -> str:
    """One that is good for so many days from now on; none is negative where it has ended."""
    authority = new_authority("test")
    return issue(authority, common_name="x", usage=Usage.CLIENT, valid=timedelta(days=days)).cert_pem.decode()


def test_certificates_that_end_are_named_with_their_files_and_what_makes_them_anew() -> None:
    pems = {"/etc/kubernetes/pki/apiserver.crt": certificate(365), "/etc/kubernetes/pki/etcd/peer.crt": certificate(10)}
    (soon,) = found_in(certificates=pems)
    assert soon.weight is Weight.WARNING
    assert re.fullmatch(r"/etc/kubernetes/pki/etcd/peer.crt: it ends in (9d23h|10d.*)", soon.why)
    assert soon.mend == "clusterup apply lab.yaml makes it anew"
    ended = [each for each in judged("s1", WELL | {"certificates": pems}, PERSON, LATER) if each.weight is Weight.FAULT]
    assert [each.what for each in ended] == ["a certificate has ended"]


def test_a_kubelet_s_certificate_is_its_own_to_ask_for() -> None:
    (finding,) = found_in(certificates={"/var/lib/kubelet/pki/kubelet-client-current.pem": certificate(3)})
    assert "clusterup logs s1 kubelet -i lab.yaml says why" in finding.mend
    (ended,) = judged("s1", WELL | {"certificates": {finding.why.partition(":")[0]: certificate(3)}}, PERSON, LATER)
    assert ended.mend == "clusterup apply lab.yaml makes it anew"


def test_what_a_node_says_in_another_way_than_it_should_is_a_finding_and_hides_nothing() -> None:
    found = found_in(memory="much", killed="none", certificates={"/x": "no certificate"}, routes={"default": False})
    assert {each.about for each in found} == {"memory", "killed", "certificates", "routes"}
    assert sum("can't be understood" in each.what for each in found) == 2


def test_clocks_of_nodes_that_differ_are_said_between_the_two_furthest() -> None:
    assert list(clocks({"s1": 0.2, "s2": -1.0}, PERSON)) == []
    (finding,) = clocks({"s1": 0.2, "s2": -40.0, "s3": 3.0}, PERSON)
    assert (finding.where, finding.why) == ("s3", "they are 43 s apart")
    assert "that of s2" in finding.what


def test_the_program_says_how_this_machine_is_and_nothing_of_it_is_lost_on_the_way() -> None:
    said = read_health(LocalTransport("here"))
    assert on_node.LOOKS.keys() == said.keys() - {"not_known"} | said.get("not_known", {}).keys()
    assert said["memory"]["total"] > said["memory"]["available"] > 0
    assert not [each for each in judged("here", said, PERSON, NOW) if "can't be understood" in each.what]


def test_an_answer_that_is_none_is_said_in_words() -> None:
    with pytest.raises(ClusterupError, match="can't be understood"):
        read_health(LocalTransport("here", shell=("sh", "-c", "echo hello", "--")))


def test_what_can_t_be_known_is_left_out_and_said_to_be(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def broken() -> object:
        raise FileNotFoundError("ip")

    monkeypatch.setattr(on_node, "LOOKS", {"memory": on_node.memory, "routes": broken})
    assert on_node.main() == 0
    said = json.loads(capsys.readouterr().out)
    assert "memory" in said
    assert said["not_known"] == {"routes": "FileNotFoundError: ip"}


def test_it_stands_on_the_standard_library_alone() -> None:
    """A node has nothing else."""
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=Path(on_node.__file__).read_bytes(), capture_output=True, check=True
    )
    assert json.loads(ran.stdout)["memory"]["total"] > 0


def test_certificates_are_read_where_nodes_have_them_and_one_that_is_damaged_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = new_authority("test").cert_pem.decode()
    for name, content in {"ca.crt": authority, "apiserver.crt": certificate(100), "etcd/ca.crt": authority}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    encoded = base64.b64encode(certificate(10).encode()).decode()
    (tmp_path / "scheduler.conf").write_text(f"users: [{{user: {{client-certificate-data: {encoded}}}}}]")
    (tmp_path / "damaged.conf").write_text("client-certificate-data: AAA")
    (tmp_path / "kubelet.conf").write_text("client-certificate: /var/lib/kubelet/pki/x.pem")
    (tmp_path / "gone.crt").symlink_to(tmp_path / "nothing")
    monkeypatch.setattr(on_node, "CERTIFICATES", (f"{tmp_path}/*.crt", f"{tmp_path}/etcd/*.crt"))
    monkeypatch.setattr(on_node, "KUBECONFIGS", (f"{tmp_path}/*.conf",))
    found = on_node.certificates()
    assert {Path(file).name: bool(pem) for file, pem in found.items()} == {
        "apiserver.crt": True,
        "scheduler.conf": True,
        "damaged.conf": False,
        "gone.crt": False,
    }
    said = [each.what for each in judged("s1", {"certificates": found}, PERSON, NOW)]
    assert sorted(said) == ["a certificate can't be read", "a certificate can't be read", "a certificate ends soon"]


def test_a_program_that_fails_is_not_taken_for_one_that_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for look in (on_node.units, on_node.kernel, on_node.routes):
        with pytest.raises(OSError, match="No such file"):
            look()


def test_no_key_leaves_the_node_with_a_certificate() -> None:
    authority = new_authority("test")
    both = (authority.key_pem + authority.cert_pem + authority.key_pem).decode()
    taken = on_node._certificate_in(both)
    assert taken.strip() == authority.cert_pem.decode().strip()
    assert "PRIVATE" not in taken
