"""Units of a node: what they run, what they read, and when they have to be restarted."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from bootstrap.constants.paths import APPROVER_JSON, KUBELET_CERTIFICATE
from bootstrap.image.versions import Versions
from bootstrap.inventory.model import Inventory
from bootstrap.machine import units as layout
from bootstrap.machine.units import Unit, all_files, systemd_quoted
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.agent import agent_unit
from bootstrap.spec.artifacts import artifacts_unit
from bootstrap.spec.control_plane import api_server_unit, approver_unit, controller_manager_unit, scheduler_unit
from bootstrap.spec.dns import dns_unit
from bootstrap.spec.etcd import birth_file, etcd_unit, peer_url
from bootstrap.spec.node_services import (
    balancer_unit,
    containerd_unit,
    images_unit,
    kubelet_unit,
    proxy_unit,
)
from bootstrap.spec.topology import Shape, api_server_names, endpoint_of, servers_of

CA = NodeFile("/etc/kubernetes/pki/ca.crt", b"a certificate")


def inventory(**cluster: object) -> Inventory:
    return Inventory.model_validate(
        {
            "cluster": {"name": "lab", **cluster},
            "kubernetes": {"api_server_args": {"v": "4"}},
            "nodes": [{"name": f"s{n}", "role": "server", "address": f"10.77.0.{10 + n}"} for n in (1, 2, 3)]
            + [
                {
                    "name": "a1",
                    "address": "10.77.0.21",
                    "labels": {"disk": "ssd", "arch": "x"},
                    "taints": [{"key": "lab", "value": "yes", "effect": "NoSchedule"}],
                }
            ],
        }
    )


def shape(node: str, minor: int = 20, containerd: tuple[int, int] = (1, 7), **cluster: object) -> Shape:
    whole = inventory(**cluster)
    return Shape(whole, whole.node(node), Versions(minor, containerd), servers_of(whole))


def agent(shape: Shape) -> Unit:
    found = agent_unit(shape, CA)
    assert found is not None
    return found


def text(unit: Unit) -> str:
    return unit.file.content.decode()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for a node's file system, with a unit of one file."""
    monkeypatch.setattr(layout, "UNIT_FOLDER", str(tmp_path / "units"))
    monkeypatch.setattr(layout, "APPLIED_FOLDER", str(tmp_path / "applied"))
    (tmp_path / "units").mkdir()
    return tmp_path


def read_by(node: Path) -> Unit:
    return Unit("a.service", "a", ("/bin/true",), files=(NodeFile(str(node / "settings"), b"one"),))


def starts(node: Path, unit: Unit) -> str:
    """What a unit leaves when it starts: its own lines before and after the start, run by a real shell."""
    lines = [
        line.partition("=")[2] for line in text(unit).splitlines() if line.startswith(("ExecStartPre", "ExecStartPost"))
    ]
    for line in lines:
        subprocess.run(["sh", "-c", line.replace("%n", unit.name)], check=True)
    return (node / "applied" / unit.name).read_text().split()[0]


def test_a_unit_that_starts_leaves_the_digest_of_what_is_on_the_disk_then(node: Path) -> None:
    unit = read_by(node)
    for file in all_files([unit]):
        Path(file.path).write_bytes(file.content)
    assert starts(node, unit) == unit.digest


@pytest.mark.parametrize("path", ["settings", "units/a.service"])
def test_a_unit_that_starts_with_an_edited_file_or_without_one_leaves_another_digest(node: Path, path: str) -> None:
    unit = read_by(node)
    for file in all_files([unit]):
        Path(file.path).write_bytes(file.content)
    with (node / path).open("ab") as handle:
        handle.write(b"# edited")
    assert starts(node, unit) != unit.digest
    (node / path).unlink()
    assert starts(node, unit) != unit.digest


def test_flags_of_etcd_in_the_inventory_win() -> None:
    given = shape("s1")
    kubernetes = given.inventory.kubernetes.model_copy(update={"etcd_args": {"heartbeat-interval": "500"}})
    patient = dataclasses.replace(given, inventory=given.inventory.model_copy(update={"kubernetes": kubernetes}))
    heartbeats = [argument for argument in etcd_unit(patient, (CA,)).argv if argument.startswith("--heartbeat")]
    assert heartbeats == ["--heartbeat-interval=500"]


def test_a_changed_file_changes_the_digest_of_the_units_that_read_it() -> None:
    before = etcd_unit(shape("s1"), (CA,))
    after = etcd_unit(shape("s1"), (dataclasses.replace(CA, content=b"another"),))
    assert before.digest != after.digest
    assert before.file == after.file


def test_no_unit_is_ended_by_systemd_because_its_machine_is_slow() -> None:
    server = shape("s1")
    for unit in (containerd_unit(server), kubelet_unit(server, CA), proxy_unit(server, CA), etcd_unit(server, (CA,))):
        assert "\nTimeoutStartSec=infinity\n" in text(unit), unit.name


def test_what_uses_the_kubelet_s_certificate_waits_until_there_is_one() -> None:
    for unit in (proxy_unit(shape("a1"), CA), agent(shape("a1"))):
        assert f"until [ -s {KUBELET_CERTIFICATE} ]" in text(unit)


def test_the_approver_starts_after_the_api_server_beside_it() -> None:
    unit = approver_unit(shape("s1"), (CA,))
    assert "After=kube-apiserver.service" in text(unit).splitlines()
    assert unit.argv == ("/usr/bin/clusterup-node", "approve", APPROVER_JSON)


def test_the_quorum_comes_first_where_there_is_too_little_of_the_processor() -> None:
    assert "\nCPUWeight=1000\n" in text(etcd_unit(shape("s1"), (CA,)))
    assert "CPUWeight" not in text(kubelet_unit(shape("s1"), CA))


def test_the_same_inputs_give_the_same_bytes() -> None:
    assert kubelet_unit(shape("a1"), CA) == kubelet_unit(shape("a1"), CA)
    assert kubelet_unit(shape("a1"), CA).file == kubelet_unit(shape("a1"), CA).file


def test_every_unit_of_a_server_renders_and_shares_files_without_contradiction() -> None:
    server = shape("s2")
    units = [
        etcd_unit(server, (CA,)),
        api_server_unit(server, (CA,)),
        controller_manager_unit(server, (CA,)),
        scheduler_unit(server, (CA,)),
        approver_unit(server, (CA,)),
        containerd_unit(server),
        images_unit(server),
        balancer_unit(server, CA),
        kubelet_unit(server, CA),
        proxy_unit(server, CA),
        agent(server),
        dns_unit(server),
    ]
    paths = [file.path for file in all_files(units)]
    assert paths == sorted(set(paths))
    assert "/etc/systemd/system/kube-apiserver.service" in paths
    assert "/etc/kubernetes/kubelet.yaml" in paths


def test_two_units_that_want_one_path_with_two_contents_are_a_mistake() -> None:
    one = Unit("a.service", "a", ("/bin/true",), files=(CA,))
    two = Unit("b.service", "b", ("/bin/true",), files=(dataclasses.replace(CA, content=b"other"),))
    with pytest.raises(ValueError, match=r"ca\.crt"):
        all_files([one, two])


def test_the_balancer_stands_in_front_of_every_server_and_checks_its_certificate() -> None:
    config, _ = balancer_unit(shape("a1"), CA).files
    lines = [line.strip() for line in config.content.decode().splitlines()]
    assert [line for line in lines if line.startswith("server ")] == [
        f"server s{n} 10.77.0.{10 + n}:6443 verifyhost s{n}" for n in (1, 2, 3)
    ]
    assert "bind 127.0.0.1:6444" in lines


def test_a_user_s_own_flag_wins_over_ours_and_stands_once() -> None:
    argv = api_server_unit(shape("s1"), ()).argv
    assert argv.count("--v=4") == 1
    assert "--advertise-address=10.77.0.11" in argv


def test_flags_that_a_release_no_longer_knows_are_not_given_to_it() -> None:
    assert "--port=0" in controller_manager_unit(shape("s1", 20), ()).argv
    assert "--port=0" not in controller_manager_unit(shape("s1", 31), ()).argv
    assert "--container-runtime=remote" in kubelet_unit(shape("a1", 20), CA).argv
    assert "--container-runtime=remote" not in kubelet_unit(shape("a1", 31), CA).argv


def test_where_the_runtime_listens_is_a_setting_since_the_flag_is_deprecated() -> None:
    flag, old, new = (
        "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
        shape("a1", 20),
        shape("a1", 36),
    )
    assert flag in kubelet_unit(old, CA).argv
    assert "containerRuntimeEndpoint" not in yaml.safe_load(kubelet_unit(old, CA).files[0].content)
    assert flag not in kubelet_unit(new, CA).argv
    settings = yaml.safe_load(kubelet_unit(new, CA).files[0].content)
    assert settings["containerRuntimeEndpoint"] == "unix:///run/containerd/containerd.sock"


@pytest.mark.parametrize(("minor", "mode"), [(20, "iptables"), (32, "iptables"), (33, "nftables"), (37, "nftables")])
def test_kube_proxy_uses_nftables_where_that_is_stable(minor: int, mode: str) -> None:
    config, *_ = proxy_unit(shape("a1", minor), CA).files
    assert yaml.safe_load(config.content)["mode"] == mode


def test_containerd_1_is_configured_in_its_format() -> None:
    (config,) = containerd_unit(shape("a1", containerd=(1, 7))).files
    settings = tomllib.loads(config.content.decode())
    cri = settings["plugins"]["io.containerd.grpc.v1.cri"]
    assert settings["version"] == 2
    assert cri["sandbox_image"] == "clusterup.local/pause:1"
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": "/etc/cni/net.d"}
    assert cri["containerd"]["runtimes"]["runc"]["options"] == {"SystemdCgroup": True}


@pytest.mark.parametrize(
    ("version", "plugins"), [((2, 0), {"bin_dir": "/usr/lib/cni"}), ((2, 1), {"bin_dirs": ["/usr/lib/cni"]})]
)
def test_containerd_2_is_configured_in_its_format(version: tuple[int, int], plugins: dict[str, object]) -> None:
    (config,) = containerd_unit(shape("a1", 36, containerd=version)).files
    settings = tomllib.loads(config.content.decode())
    images, runtime = (settings["plugins"][f"io.containerd.cri.v1.{part}"] for part in ("images", "runtime"))
    assert settings["version"] == 3
    assert images["pinned_images"] == {"sandbox": "clusterup.local/pause:1"}
    assert runtime["cni"] == {**plugins, "conf_dir": "/etc/cni/net.d"}
    assert runtime["containerd"]["runtimes"]["runc"]["options"] == {"SystemdCgroup": True}


def test_a_node_has_its_labels_and_taints_from_its_first_moment_on() -> None:
    unit = kubelet_unit(shape("a1"), CA)
    (registration,) = unit.unwatched
    assert registration.content == (
        b"REGISTRATION=--node-labels=arch=x,disk=ssd --register-with-taints=lab=yes:NoSchedule\n"
    )
    assert f"EnvironmentFile={registration.path}\n" in text(unit)
    assert " $REGISTRATION\n" in text(unit)
    assert registration in all_files([unit])


def test_labels_and_taints_that_change_restart_no_kubelet() -> None:
    before = kubelet_unit(shape("a1"), CA)
    node = shape("a1").node.model_copy(update={"labels": {"disk": "hdd"}, "taints": ()})
    after = kubelet_unit(dataclasses.replace(shape("a1"), node=node), CA)
    assert after.unwatched != before.unwatched
    assert after.digest == before.digest


@pytest.mark.parametrize(
    ("label", "own"),
    [
        ("node-role.kubernetes.io/worker", True),
        ("kubernetes.io/x", True),
        ("x.k8s.io/y", True),
        ("disk", False),
        ("example.com/disk", False),
        ("notkubernetes.io/disk", False),
    ],
)
def test_labels_of_kubernetes_own_domains_are_not_for_kubelets_to_give(label: str, own: bool) -> None:
    node = shape("a1").node.model_copy(update={"labels": {label: "x"}, "taints": ()})
    (registration,) = kubelet_unit(dataclasses.replace(shape("a1"), node=node), CA).unwatched
    assert (registration.content == b"REGISTRATION=\n") is own


def test_the_kubelet_s_configuration_names_cluster_dns_and_systemd_s_cgroups() -> None:
    config = yaml.safe_load(kubelet_unit(shape("a1"), CA).files[0].content)
    assert config["clusterDNS"] == ["10.96.0.10"]
    assert config["cgroupDriver"] == "systemd"
    assert config["authentication"]["anonymous"] == {"enabled": False}


def test_a_learner_is_born_into_an_existing_cluster() -> None:
    members = {"s1": "https://10.77.0.11:2380", "s2": peer_url(inventory().node("s2").address)}
    lines = birth_file(members, state="existing").content.decode().splitlines()
    assert lines == [
        "ETCD_INITIAL_CLUSTER=s1=https://10.77.0.11:2380,s2=https://10.77.0.12:2380",
        "ETCD_INITIAL_CLUSTER_STATE=existing",
    ]


def test_the_api_server_s_certificate_carries_every_name_it_is_reached_by() -> None:
    names = api_server_names(shape("s1", endpoint="127.0.0.1:7443", certificate_names=["api.example"]))
    assert {"127.0.0.1", "10.96.0.1", "10.77.0.11", "api.example", "kubernetes.default.svc.cluster.local"} <= {*names}
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("configured", "found"),
    [(None, ("10.77.0.11", 6443)), ("api.example", ("api.example", 6443)), ("10.0.0.9:443", ("10.0.0.9", 443))],
)
def test_operators_reach_the_endpoint_or_else_the_first_server(configured: str | None, found: tuple[str, int]) -> None:
    assert endpoint_of(inventory(endpoint=configured)) == found


def test_systemd_s_specials_in_an_argument_are_made_harmless() -> None:
    assert systemd_quoted("a b") == '"a b"'
    assert systemd_quoted("100%$x") == "100%%$$x"
    assert systemd_quoted("") == '""'


def test_a_file_s_content_never_shows_in_its_representation() -> None:
    assert "certificate" not in repr(CA)


PAYLOAD = "/var/lib/clusterup/payloads/a.raw"


def server_of_artifacts() -> Unit:
    return artifacts_unit(shape("s1"), (), {"a" * 64: PAYLOAD, "b" * 64: "/var/lib/clusterup/images/pause.tar"})


def test_what_listens_to_strangers_is_a_user_of_its_own_with_a_limit_of_memory() -> None:
    lines = text(server_of_artifacts()).splitlines()
    assert {"DynamicUser=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict"} <= {*lines}
    assert {f"MemoryMax={256 << 20}", "TasksMax=256"} <= {*lines}


def test_what_listens_to_strangers_sees_of_var_what_it_hands_out_and_nothing_else() -> None:
    lines = text(server_of_artifacts()).splitlines()
    assert "TemporaryFileSystem=/var:ro" in lines
    shown = [line for line in lines if line.startswith("Bind")]
    folders = ("/var/lib/clusterup/images", "/var/lib/clusterup/payloads")
    assert shown == [f"BindReadOnlyPaths=-{folder}" for folder in folders]


def test_its_key_which_root_alone_may_read_is_handed_to_it_by_systemd() -> None:
    unit = server_of_artifacts()
    settings = json.loads(unit.files[0].content)
    assert "LoadCredential=tls.key:/etc/kubernetes/pki/apiserver.key" in text(unit).splitlines()
    assert settings["key"] == f"/run/credentials/{unit.name}/tls.key"
    assert unit.argv[-1] == f"/run/credentials/{unit.name}/artifacts.json"


def test_what_notes_that_a_confined_unit_runs_keeps_the_rights_of_root() -> None:
    lines = [line for line in text(server_of_artifacts()).splitlines() if line.startswith(("ExecStartP", "ExecStart="))]
    assert [line[: line.index("=") + 2] for line in lines] == ["ExecStartPre=+", "ExecStart=/", "ExecStartPost=+"]
    assert "ExecStartPre=/bin/sh" in text(kubelet_unit(shape("s1"), CA))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_every_line_of_a_confined_unit(tmp_path: Path) -> None:
    unit = tmp_path / "confined.service"
    # A program that is there: what is asked about is the unit.
    unit.write_text(text(server_of_artifacts()).replace("/usr/bin/clusterup-node", "/bin/true"))
    said = subprocess.run(["systemd-analyze", "verify", str(unit)], check=True, capture_output=True, text=True)
    assert [line for line in said.stderr.splitlines() if "confined.service" in line] == []
