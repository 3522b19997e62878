"""clusterup kubeconfig: printed, written, merged. It reaches no node."""

from __future__ import annotations

import base64
import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from bootstrap.operations.reading import intent_of_file
from bootstrap.pki.x509 import BACKDATED
from tests.integration.cli.test_plan_and_apply import Operator
from tests.integration.cli.test_plan_and_apply import operator as of_the_lab

__all__ = ["of_the_lab"]
ORGANIZATION, NAME = NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME


@pytest.fixture
def operator(of_the_lab: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Somebody whose cluster is made."""
    of_the_lab.inventory()
    monkeypatch.setenv("XDG_STATE_HOME", str(of_the_lab.folder / "state"))
    intent_of_file(of_the_lab.folder / "lab.yaml", None).state.keep_made()
    return of_the_lab


def test_it_is_printed_with_everything_inside(operator: Operator) -> None:
    printed = yaml.safe_load(operator.types("kubeconfig", "lab.yaml").stdout)
    assert printed["current-context"] == "lab"
    assert printed["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"
    assert set(printed["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_it_is_written_for_its_owner_alone_and_is_the_same_every_time(operator: Operator) -> None:
    assert operator.types("kubeconfig", "lab.yaml", "--out", "mine").returncode == 0
    written = operator.folder / "mine"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert written.read_text() == operator.types("kubeconfig", "lab.yaml").stdout


def test_it_is_merged_into_the_one_that_kubectl_reads(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "contexts": [{"name": "work"}]}))
    monkeypatch.setenv("KUBECONFIG", str(own))
    merged = operator.types("kubeconfig", "lab.yaml", "--merge")
    assert merged.returncode == 0
    assert merged.stdout == ""
    assert str(own) in merged.stderr
    found = yaml.safe_load(own.read_text())
    assert [context["name"] for context in found["contexts"]] == ["work", "lab"]
    assert found["current-context"] == "lab"


def test_there_is_none_of_a_cluster_that_is_still_to_be_made(of_the_lab: Operator) -> None:
    of_the_lab.inventory()
    refused = of_the_lab.types("kubeconfig", "lab.yaml")
    assert refused.returncode == 4
    assert "there is no cluster lab yet, as far as is known here" in refused.stderr
    assert "clusterup apply lab.yaml" in refused.stderr
    assert not (of_the_lab.folder / "state").exists()


def test_it_is_printed_as_json_too(operator: Operator) -> None:
    printed = operator.types("kubeconfig", "lab.yaml", "-o", "json").stdout
    assert json.loads(printed) == yaml.safe_load(operator.types("kubeconfig", "lab.yaml").stdout)
    assert not (operator.folder / "json").exists()


@pytest.mark.parametrize("out", ["-", "/dev/stdout"])
def test_standard_output_may_be_named(operator: Operator, out: str) -> None:
    printed = operator.types("kubeconfig", "lab.yaml", "--out", out)
    assert printed.returncode == 0
    assert printed.stdout == operator.types("kubeconfig", "lab.yaml").stdout


def test_an_entry_of_another_cluster_is_asked_about_and_left_where_no_one_can_be(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.write_text(
        before := "clusters: [{name: lab, cluster: {server: 'https://192.0.2.9:6443'}}]\ncurrent-context: work\n"
    )
    monkeypatch.setenv("KUBECONFIG", f":{own}")
    refused = operator.types("kubeconfig", "lab.yaml", "--merge")
    assert refused.returncode == 4
    assert "the cluster 'lab' (https://192.0.2.9:6443)" in refused.stderr
    assert own.read_text() == before


@pytest.mark.parametrize("place", ["folder", "file/config", "/proc/config"])
def test_a_place_that_can_t_be_written_is_said_in_words(operator: Operator, place: str) -> None:
    (operator.folder / "folder").mkdir()
    (operator.folder / "file").touch()
    refused = operator.types("kubeconfig", "lab.yaml", "--out", place)
    assert refused.returncode == 2
    assert f"{place} can't be written" in refused.stderr
    assert "next: " in refused.stderr


def certificate_in(printed: str) -> x509.Certificate:
    """The client certificate of a kubeconfig."""
    user = yaml.safe_load(printed)["users"][0]["user"]
    return x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))


def test_somebody_else_gets_a_certificate_with_their_name_and_groups_that_ends(operator: Operator) -> None:
    made = operator.types(
        "kubeconfig", "lab.yaml", "--user", "anna", "--group", "dev", "--group", "ops", "--expires", "90m"
    )
    assert made.returncode == 0, made.stderr
    certificate = certificate_in(made.stdout)
    named = [(part.oid, part.value) for part in certificate.subject]
    assert named == [(ORGANIZATION, "dev"), (ORGANIZATION, "ops"), (NAME, "anna")]
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == BACKDATED + timedelta(minutes=90)
    assert yaml.safe_load(made.stdout)["users"][0]["name"] == "anna@lab"


def test_theirs_is_another_one_each_time_and_kept_nowhere(operator: Operator) -> None:
    state = operator.folder / "state"
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    first, second = (operator.types("kubeconfig", "lab.yaml", "--user", "anna").stdout for _ in range(2))
    assert certificate_in(first).public_key() != certificate_in(second).public_key()
    assert {path: path.read_bytes() for path in state.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--user", "system:node:s1"), "system:node:s1 is a name that Kubernetes or clusterup has for itself"),
        (("--user", "anna", "--group", "system:masters"), "system:masters is a name"),
        (("--user", ""), "need a name"),
        (("--user", "anna", "--expires", "3650d"), "a certificate can't be good for 3650d"),
        (("--user", "anna", "--expires", "0"), "a certificate can't be good for 0s"),
        (("--user", "anna", "--merge"), "exclude each other"),
        (("--group", "dev"), "--group is for somebody else's"),
        (("--expires", "1h"), "--expires is for somebody else's"),
        (("--user", "clusterup:approver"), "clusterup:approver is a name"),
        (("--user", "a" * 65), "at most 64 characters"),
    ],
)
def test_what_would_be_somebody_else_s_power_is_refused(
    operator: Operator, arguments: tuple[str, ...], said: str
) -> None:
    refused = operator.types("kubeconfig", "lab.yaml", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr
