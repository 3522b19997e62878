"""Flags that clusterup sets can't be replaced by an inventory, unless it only has an opinion about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bootstrap.constants.paths import KUBELET_YAML
from bootstrap.image.versions import Versions
from bootstrap.inventory.flags import DEFAULTS, OWN, FlagsOf
from bootstrap.machine.units import Unit
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.control_plane import api_server_unit, controller_manager_unit, scheduler_unit
from bootstrap.spec.etcd import birth_file, etcd_unit
from bootstrap.spec.node_services import kubelet_unit
from bootstrap.spec.topology import Shape, servers_of
from tests.unit.inventory.reading import lab, problem, read

CA = NodeFile("/etc/kubernetes/pki/ca.crt", b"a certificate")
KEYS = {
    FlagsOf.API_SERVER: "api_server_args",
    FlagsOf.CONTROLLER_MANAGER: "controller_manager_args",
    FlagsOf.SCHEDULER: "scheduler_args",
    FlagsOf.ETCD: "etcd_args",
    FlagsOf.KUBELET: "kubelet_args",
}
UNITS: dict[FlagsOf, Callable[[Shape], Unit]] = {
    FlagsOf.API_SERVER: lambda shape: api_server_unit(shape, (CA,)),
    FlagsOf.CONTROLLER_MANAGER: lambda shape: controller_manager_unit(shape, (CA,)),
    FlagsOf.SCHEDULER: lambda shape: scheduler_unit(shape, (CA,)),
    FlagsOf.ETCD: lambda shape: etcd_unit(shape, (CA,)),
    FlagsOf.KUBELET: lambda shape: kubelet_unit(shape, CA),
}
# Keys of the kubelet's file of settings whose flag has another name than they have.
KUBELET_FLAGS = {
    "authentication.anonymous": "anonymous-auth",
    "authentication.webhook": "authentication-token-webhook",
    "authentication.x509": "client-ca-file",
    "authorization.mode": "authorization-mode",
    "clusterDNS": "cluster-dns",
    "imageGCHighThresholdPercent": "image-gc-high-threshold",
    "imageGCLowThresholdPercent": "image-gc-low-threshold",
    "podPidsLimit": "pod-max-pids",
}


def shape(minor: int, **kubernetes: object) -> Shape:
    inventory = read(lab(kubernetes=kubernetes)).inventory
    return Shape(inventory, inventory.nodes[0], Versions(minor), servers_of(inventory))


def flags(argv: tuple[str, ...]) -> dict[str, str]:
    return dict(word.removeprefix("--").split("=", 1) for word in argv[1:])


@pytest.mark.parametrize("program", FlagsOf)
@pytest.mark.parametrize("minor", [20, 31])
def test_every_flag_that_a_unit_has_is_clusterup_s_own_or_a_default(program: FlagsOf, minor: int) -> None:
    given = flags(UNITS[program](shape(minor)).argv)
    assert set(given) - set(OWN[program]) - DEFAULTS[program] == set()


def test_so_is_every_setting_of_the_kubelet_s_file_and_of_etcd_s_environment() -> None:
    (file,) = [file for file in kubelet_unit(shape(20), CA).files if file.path == KUBELET_YAML]
    settings = yaml.safe_load(file.content)
    found = {key for key in settings if key not in ("apiVersion", "kind", "authentication", "authorization")}
    found |= {f"{key}.{inner}" for key in ("authentication", "authorization") for inner in settings[key]}
    names = {KUBELET_FLAGS.get(key) or "".join(f"-{c.lower()}" if c.isupper() else c for c in key) for key in found}
    assert names - set(OWN[FlagsOf.KUBELET]) - DEFAULTS[FlagsOf.KUBELET] == set()
    lines = birth_file({"a": "https://b"}, state="new").content.decode().splitlines()
    birth = {line.partition("=")[0].removeprefix("ETCD_").lower().replace("_", "-") for line in lines}
    assert birth <= set(OWN[FlagsOf.ETCD])


@pytest.mark.parametrize("program", FlagsOf)
def test_a_flag_of_clusterup_s_own_is_refused_with_who_sets_it_and_what_to_do(program: FlagsOf) -> None:
    for name in OWN[program]:
        found = problem(lab(kubernetes={KEYS[program]: {name: "x"}}))
        said = (
            f"kubernetes.{KEYS[program]}.{name}: clusterup sets --{name} of {program.value} itself; allowed: leave it"
        )
        assert said in found


@pytest.mark.parametrize(
    ("key", "flag", "value"),
    [
        ("api_server_args", "authorization-mode", "AlwaysAllow"),
        ("api_server_args", "anonymous-auth", "true"),
        ("api_server_args", "tls-cert-file", "/x"),
        ("api_server_args", "etcd-servers", "https://elsewhere:2379"),
        ("api_server_args", "insecure-port", "8080"),
        ("kubelet_args", "anonymous-auth", "true"),
        ("kubelet_args", "authorization-mode", "AlwaysAllow"),
        ("kubelet_args", "kubeconfig", "/x"),
        ("kubelet_args", "node-labels", "a=b"),
        ("scheduler_args", "kubeconfig", "/x"),
        ("controller_manager_args", "cluster-signing-key-file", "/x"),
        ("etcd_args", "client-cert-auth", "false"),
        ("etcd_args", "force-new-cluster", "true"),
    ],
)
def test_what_would_open_or_break_a_cluster_is_among_them(key: str, flag: str, value: str) -> None:
    assert f"clusterup sets --{flag} of " in problem(lab(kubernetes={key: {flag: value}}))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("--v", "v"),
        ("-v", "v"),
        ("authorization_mode", "authorization-mode"),
        ("Authorization-Mode", ""),
        ("a=b", ""),
        ("a b", ""),
        ("", ""),
        ("a-", ""),
        ("v" * 200, ""),
    ],
)
def test_a_flag_is_written_as_programs_call_it_so_that_no_other_writing_gets_past(written: str, meant: str) -> None:
    found = problem(lab(kubernetes={"api_server_args": {written: "1"}}))
    assert "this is not the name of a flag" in found
    assert found.endswith(f"did you mean {meant!r}?" if meant else "as in v or feature-gates")


@pytest.mark.parametrize("program", FlagsOf)
def test_defaults_are_replaced_and_stand_once(program: FlagsOf) -> None:
    for name in DEFAULTS[program] - {"enable-admission-plugins"}:
        argv = UNITS[program](shape(20, **{KEYS[program]: {name: "other"}})).argv
        assert [word for word in argv if word.startswith(f"--{name}=")] in ([f"--{name}=other"], [])


def test_admission_plugins_are_added_to_the_one_that_keeps_kubelets_from_what_is_not_theirs() -> None:
    argv = api_server_unit(shape(20, api_server_args={"enable-admission-plugins": "A, B"}), (CA,)).argv
    assert flags(argv)["enable-admission-plugins"] == "NodeRestriction,A,B"
    found = problem(lab(kubernetes={"api_server_args": {"disable-admission-plugins": "A,NodeRestriction"}}))
    assert "--disable-admission-plugins turns NodeRestriction off" in found


def test_what_systemd_would_read_otherwise_reaches_the_program_as_it_is_written(tmp_path: Path) -> None:
    value = "%n $HOME ${HOME} \"q\" 'a' \\ ; # é"
    text = scheduler_unit(shape(20, scheduler_args={"x": value}), (CA,)).file.content.decode()
    (line,) = [line for line in text.splitlines() if "--x=" in line]
    assert line == '    "--x=%%n $$HOME $${HOME} \\"q\\" \'a\' \\\\ ; # é"'
