"""Values that no inventory may have: each is refused at its place, with an example of what is right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bootstrap.inventory.model import Inventory, Taint
from tests.unit.inventory.reading import KEY, lab, problem, problems, read

PRIVATE = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEc2VjcmV0\n"
    "-----END OPENSSH PRIVATE KEY-----\n"
)


@pytest.mark.parametrize("where", ["ssh_authorized_keys", "ssh.host_key", "ssh.key", "labels", "ntp"])
@pytest.mark.parametrize("key", [PRIVATE, PRIVATE.replace("\n", " "), PRIVATE.splitlines()[1]], ids=len)
def test_a_private_key_is_refused_wherever_it_stands_and_never_shown(where: str, key: str) -> None:
    places: dict[str, dict[str, Any]] = {
        "ssh_authorized_keys": {"ssh_authorized_keys": [KEY, key]},
        "ssh.host_key": {"ssh": {"host_key": key}},
        "ssh.key": {"ssh": {"key": f"{key}\n"}},
        "labels": {"labels": {"key": key}},
        "ntp": {"ntp": [key]},
    }
    said = problem(lab(**places[where]))
    assert "node server-1: " in said
    assert "a private key (it is not shown here)" in said
    assert "b3BlbnNz" not in said


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("0.0.0.0", "it is one of the addresses of no host (0.0.0.0/8)"),
        ("127.0.0.1", "it is one of the loopback addresses (127.0.0.0/8)"),
        ("127.77.0.1", "it is one of the loopback addresses"),
        ("169.254.3.4", "it is one of the link-local addresses (169.254.0.0/16)"),
        ("224.0.0.1", "it is one of the multicast addresses (224.0.0.0/4)"),
        ("240.0.0.1", "it is one of the reserved addresses (240.0.0.0/4)"),
        ("255.255.255.255", "it is one of the reserved addresses"),
        ("2001:db8::1", "this is IPv6, and in a cluster"),
        ("010.0.0.1", "found '010.0.0.1'"),
        ("192.0.2.11/24", "found '192.0.2.11/24'"),
        (True, "found True"),
        (["192.0.2.11"], "found a list"),
    ],
)
def test_an_address_that_no_node_can_have(address: object, said: str) -> None:
    found = problem(lab(address=address))
    assert found.startswith("1:")
    assert "node server-1: address: found " in found
    assert said in found
    assert found.endswith("allowed: an IPv4 address, as in 192.0.2.11")


def test_a_number_is_not_an_address_and_the_one_that_was_meant_is_named() -> None:
    found = problem(lab(address=3232235777))
    assert found.endswith(
        "found 3232235777: it is a number; allowed: an IPv4 address, as in 192.0.2.11; did you mean '192.168.1.1'?"
    )


@pytest.mark.parametrize("name", ["localhost", "ip6-localhost", "cluster"])
def test_a_name_that_means_something_else_on_every_node(name: str) -> None:
    assert "another name, as in server-1" in problem(lab(name=name))


@pytest.mark.parametrize("name", ["10", "0x7f", "1e3"])
def test_a_name_that_programs_take_for_a_number(name: str) -> None:
    assert f"as in node-{name}" in problem(lab(name=name))


@pytest.mark.parametrize("name", ["Server-1", "server_1", "server.1", "-a", "a-", "a" * 64, "", "a\n"])
def test_a_name_that_is_not_one_of_dns(name: str) -> None:
    assert "as in server-1" in problem(lab(name=name)) or "line break" in problem(lab(name=name))


@pytest.mark.parametrize("name", ["s", "7a", "true", "a" * 63])
def test_names_that_nodes_may_have(name: str) -> None:
    assert read(lab(name=name)).inventory.nodes[0].name == name


@pytest.mark.parametrize(
    "key", ["a..b/c", "a.-b/c", "A.b/c", "a/b/c", "/c", "a/", "-c", "c-", "c" * 64, f"{'a.' * 127}a/c", "a b", "c\n"]
)
def test_a_label_s_key_that_kubernetes_would_not_take(key: str) -> None:
    found = problem(lab(labels={key: "x"}))
    assert "as in example.org/disk" in found or "printable" in found


@pytest.mark.parametrize("key", ["c", "a.b/c", "example.org/Disk_1.x", "node-role.kubernetes.io/worker"])
def test_labels_that_kubernetes_takes(key: str) -> None:
    assert read(lab(labels={key: ""})).inventory.nodes[0].labels == {key: ""}


@pytest.mark.parametrize("key", ["kubernetes.io/hostname", "kubernetes.io/arch", "beta.kubernetes.io/os"])
def test_labels_that_a_kubelet_writes_itself(key: str) -> None:
    assert f"labels.{key}: the kubelet writes this label itself; allowed: a label of your own" in problem(
        lab(labels={key: "x"})
    )


def test_the_label_of_servers_is_not_for_an_inventory_to_give() -> None:
    found = problem(lab(labels={"node-role.kubernetes.io/control-plane": ""}))
    assert found.endswith("allowed: role: server, or a label of your own")


@pytest.mark.parametrize("value", ["a b", "-a", "a-", "a" * 64, "é", "1\n"])
def test_a_label_s_value_that_kubernetes_would_not_take(value: str) -> None:
    assert problem(lab(labels={"a": value})).startswith("1:")


def test_a_taint_that_kubernetes_sets_and_removes_itself() -> None:
    found = problem(lab(taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]))
    assert "Kubernetes sets and removes this taint itself" in found


def test_a_taint_is_a_mapping_or_what_kubectl_takes() -> None:
    for short, value in (("gpu=true:NoSchedule", "true"), ("gpu:NoSchedule", ""), ("gpu=:NoSchedule", "")):
        (node,) = read(lab(taints=[short])).inventory.nodes
        assert node.taints == (Taint(key="gpu", value=value, effect="NoSchedule"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu", """taints.0: found 'gpu'; allowed: KEY=VALUE:EFFECT or a mapping, as in "gpu=true:NoSchedule\""""),
        ("gpu=true:NoSchedul", "taints.0.effect: found 'NoSchedul'; allowed: 'NoSchedule', 'PreferNoSchedule' or"),
        ("g u=true:NoSchedule", "taints.0.key: found 'g u': this is not a label's key"),
        ("gpu=t rue:NoSchedule", "taints.0.value: found 't rue'; allowed: at most 63 letters"),
        (":NoSchedule", "taints.0: found ':NoSchedule'; allowed: KEY=VALUE:EFFECT"),
        (["gpu"], "taints.0: found a list; allowed: a mapping with keys of effect, key, value"),
    ],
)
def test_a_taint_that_is_not_right(text: Any, said: str) -> None:
    assert f"node server-1: {said}" in problem(lab(taints=[text]))


@pytest.mark.parametrize(
    "name", ["a b", "https://api.example.org", "api.example.org:6443", "api_1.example.org", "10.0.0.300", "", "a,b"]
)
def test_a_name_that_no_certificate_can_carry(name: str) -> None:
    assert "cluster.certificate_names.0: found " in problem(lab(cluster={"certificate_names": [name]}))


def test_names_that_a_certificate_carries_are_as_they_are_read_back() -> None:
    names = ["api.example.org", "*.example.org", "192.0.2.1", "2001:DB8::0001"]
    found = read(lab(cluster={"certificate_names": names})).inventory.cluster.certificate_names
    assert found == ("api.example.org", "*.example.org", "192.0.2.1", "2001:db8::1")


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("https://api.example.org:6443", "it has a scheme"),
        ("api.example.org:0", "its port is not one from 1 to 65535"),
        ("api.example.org:65536", "its port"),
        ("api.example.org:", "its port"),
        ("api.example.org:x", "its port"),
        ("2001:db8::1", "this is IPv6, and in a cluster"),
        ("[2001:db8::1]:6443", "this is IPv6"),
        ("10.0.0.300:6443", "it is neither a name nor an IPv4 address"),
        ("0.0.0.0:6443", "nothing answers at that address"),
        ("user@api.example.org", "found 'user@api.example.org'"),
        ("api.example.org/", "found"),
        ("api example", "found"),
        (6443, "found 6443"),
    ],
)
def test_an_endpoint_that_a_kubeconfig_can_t_lead_to(endpoint: object, said: str) -> None:
    found = problem(lab(cluster={"endpoint": endpoint}))
    assert said in found
    assert "api.example.org:6443" in found


def test_an_endpoint_s_scheme_is_left_out_of_what_was_meant() -> None:
    found = problem(lab(cluster={"endpoint": "https://api.example.org:443/x"}))
    assert found.endswith("did you mean 'api.example.org:443'?")


@pytest.mark.parametrize("endpoint", ["api.example.org", "API.example.org:443", "192.0.2.1", "127.0.0.1:7443", "lb:1"])
def test_endpoints_that_an_operator_can_connect_to(endpoint: str) -> None:
    assert read(lab(cluster={"endpoint": endpoint})).inventory.cluster.endpoint == endpoint


@pytest.mark.parametrize(
    "disk",
    [
        *("sda", "dev/sda", "/etc/passwd", "/dev", "/dev/", "/dev/sda/", "/dev//sda", "/dev/../sda", "/dev/a b"),
        *("serial:", "serial: x", "serial:x ", f"serial:{'x' * 129}", "", "/dev/sda\n", f"/dev/{'x' * 256}"),
    ],
)
def test_a_disk_is_a_path_below_dev_or_a_serial_number(disk: str) -> None:
    found = problem(lab(disk=disk))
    assert "node server-1: disk: found " in found
    assert "; allowed: " in found


def test_a_disk_without_its_folder_is_taken_for_what_was_meant() -> None:
    assert problem(lab(disk="sda")).endswith("did you mean '/dev/sda'?")
    assert problem(lab(disk="nvme0n1")).endswith("did you mean '/dev/nvme0n1'?")


@pytest.mark.parametrize("disk", ["/dev/sda", "/dev/nvme0n1", "/dev/disk/by-id/ata-X_1-2:0", "serial:A B", "/dev/md/x"])
def test_disks_that_there_may_be(disk: str) -> None:
    assert read(lab(disk=disk)).inventory.nodes[0].disk == disk


@pytest.mark.parametrize("key", ["SHA256:abc", "MD5:aa", "aa:" * 15 + "aa"])
def test_a_fingerprint_is_not_a_host_key_and_it_is_said_where_the_key_is(key: str) -> None:
    found = problem(lab(ssh={"host_key": key}))
    assert "this is a fingerprint, not a key" in found
    assert "/etc/ssh/ssh_host_ed25519_key.pub" in found
    assert "ssh-keyscan -t ed25519 HOST" in found


@pytest.mark.parametrize(
    "key", ["ssh-ed25519", "ssh-ed25519 AAAA", KEY[:-30], f"host {KEY}", KEY.replace("25519", "x")]
)
def test_a_host_key_that_is_not_whole(key: str) -> None:
    assert "ssh.host_key: found " in problem(lab(ssh={"host_key": key}))


@pytest.mark.parametrize("line", [KEY, f"{KEY} me@here and there", f'from="10.0.0.0/8,*.x",no-pty {KEY} é'])
def test_lines_of_authorized_keys(line: str) -> None:
    assert read(lab(ssh_authorized_keys=[line])).inventory.nodes[0].ssh_authorized_keys == (line,)


@pytest.mark.parametrize(
    "line", ["", "# me", "ssh-ed25519 AAAA me", KEY[:40], f"{KEY}\n{KEY}", "ssh-dss AAAA", "SHA256:x"]
)
def test_lines_that_let_no_one_in(line: str) -> None:
    assert "ssh_authorized_keys.0: found a text that is not shown here: " in problem(lab(ssh_authorized_keys=[line]))


@pytest.mark.parametrize(
    "mac", ["52-54-00-12-34-56", "525400123456", "52:54:00:12:34", "ff:ff:ff:ff:ff:ff", "01:00:5e:0:0:1"]
)
def test_a_hardware_address_that_no_card_has(mac: str) -> None:
    assert "as in 52:54:00:12:34:56" in problem(lab(interfaces=[{"mac": mac}]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sysctls": {"a b": "1"}}, "sysctls.a b: this key can not stand here; allowed: a kernel setting, as in"),
        ({"sysctls": {"vm.x": 5}}, 'text: put it in quotes, as in "262144"'),
        ({"modules": ["nbd max_part=8"]}, "a kernel module without options, as in nbd"),
        ({"ntp": ["a b"]}, "as in ntp.example.org"),
        ({"ntp": "ntp.example.org"}, "allowed: a list, as in [ntp.example.org"),
        ({"dns": ["127.0.0.53"]}, "the loopback addresses"),
        ({"ssh": {"port": 0}}, "a port from 1 to 65535"),
        ({"ssh": {"port": "22"}}, "a whole number without quotes, as in 22"),
        ({"ssh": {"port": True}}, "a whole number without quotes, as in 22"),
        ({"ssh": {"host": "me@host"}}, "user and port stand in `user` and `port`"),
        ({"ssh": {"host": "-oProxyCommand=x"}}, "a host name or an address"),
        ({"ssh": {"user": "a b"}}, "a user's name, as in admin"),
        ({"ssh": {"use_config": "no"}}, "true or false, without quotes"),
        ({"ssh": {"key": "~nobody/key"}}, "one below your own home (~/)"),
        ({"ssh": {"key": "x" * 256}}, "names of at most 255 bytes"),
        ({"ssh": {"password_from": "hunter2"}}, "env:NAME, file:PATH or prompt; never the secret itself"),
        ({"ssh": []}, "ssh: found a list; allowed: a mapping with keys of host, host_key"),
        ({"console": {"url": "/dev/ttyS0", "baud": 9600.5}}, "a whole number without quotes, as in 115200"),
        ({"console": {"url": "telnet://h:" + "9" * 5000}}, "at most 1024"),
        ({"labels": ["a"]}, "labels: found a list; allowed: a mapping, as in { example.org/disk: fast }"),
        ({"labels": None}, "labels: found nothing; allowed: a mapping"),
        ({"role": "master"}, "'server' or 'agent'"),
    ],
)
def test_other_values_that_are_not_right(settings: dict[str, Any], said: str) -> None:
    found = problem(lab(**settings))
    assert "node server-1: " in found
    assert said in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({"name": "Lab"}, "cluster.name: found 'Lab'; allowed: a to z"),
        ({"name": 5}, "cluster.name: found 5; allowed: text: put it in quotes, as in my-cluster"),
        ({"domain": "Cluster.local"}, "a domain of DNS in lower case, as in cluster.local"),
        ({"domain": "a..b"}, "a domain of DNS"),
        ({"domain": "x" * 300}, "at most 253"),
        (
            {"pod_cidr": "10.244.1.0/16"},
            "it has host bits set; allowed: an IPv4 network, as in 10.244.0.0/16; did you mean '10.244.0.0/16'?",
        ),
        ({"pod_cidr": "10.244.0.0"}, "it has no prefix length from 0 to 32"),
        ({"pod_cidr": "10.244.0.0/255.255.0.0"}, "it has no prefix length"),
        ({"pod_cidr": "127.0.0.0/8"}, "the loopback addresses (127.0.0.0/8) are in it"),
        ({"service_cidr": "2001:db8::/108"}, "this is IPv6, and in a cluster"),
        ({"allow_even_servers": "yes"}, "true or false, without quotes"),
        ({"cni": "calico"}, "'bridge' or 'none'"),
    ],
)
def test_values_of_the_cluster_that_are_not_right(cluster: dict[str, Any], said: str) -> None:
    assert said in problem(lab(cluster=cluster))


@pytest.mark.parametrize(
    ("kubernetes", "said"),
    [
        ({"source": "debain"}, "auto, debian, upstream, or the path of a folder, as in ./kubernetes"),
        (
            {"source": "upstream", "version": "v1.31.2"},
            "a minor version or a release, as in 1.36 or 1.36.2; did you mean '1.31.2'?",
        ),
        ({"version": 1}, "text: put it in quotes, as in"),
        ({"version": "1.36.x"}, "a minor version or a release"),
    ],
)
def test_what_is_said_of_kubernetes_and_is_not_right(kubernetes: dict[str, Any], said: str) -> None:
    assert said in problem(lab(kubernetes=kubernetes))


CONTROL = ["1\nExecStartPost=/bin/sh", "1\r2", "1\x1b[2J", "1\x002", "1\t2", "1\u20282", "1\u202e2", "1\ud8002"]


def texts(value: Any) -> int:
    """How many texts are in it."""
    if isinstance(value, dict | list):
        return sum(map(texts, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str)


def full_of(text: str) -> dict[str, Any]:
    """An inventory with that text wherever one may stand."""
    flags = ("api_server_args", "controller_manager_args", "scheduler_args", "etcd_args", "kubelet_args")
    return {
        "cluster": {
            **dict.fromkeys(("name", "endpoint", "domain", "pod_cidr", "service_cidr", "cni"), text),
            "certificate_names": [text],
        },
        "kubernetes": {"source": text, "version": text, **{name: {"v": text} for name in flags}},
        **{"dns": {"by": text, "forward": {"corp.example": [text]}}, "volumes": {"by": text}},
        "manifests": [{"path": text, "url": text, "sha256": text}],
        "os": {"bundle": text, "trusted_keys": [f"{KEY} {text}"]},
        "nodes": [
            {
                "ssh": {
                    **dict.fromkeys(("host", "user", "key", "host_key"), text),
                    **dict.fromkeys(("password_from", "passphrase_from"), f"file:{text}"),
                    "jump": [{"host": text, "user": text, "key": text}],
                },
                "console": {
                    "url": f"/dev/{text}",
                    **dict.fromkeys(("user", "parity", "flow", "line_ending"), text),
                    **dict.fromkeys(("password_from", "root_password_from"), f"file:{text}"),
                },
                **dict.fromkeys(("name", "role", "address"), text),
                **{"disk": f"/dev/{text}", "labels": {"a": text}},
                "taints": [{"key": text, "value": text, "effect": text}],
                "ssh_authorized_keys": [f"{KEY} {text}"],
                **{name: [text] for name in ("ntp", "dns", "modules")},
                "sysctls": {"vm.x": text},
                "interfaces": [
                    {
                        **{"mac": text, "gateway": text},
                        **{"addresses": [text], "dns": [text], "routes": [{"to": text, "via": text}]},
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize("text", CONTROL, ids=ascii)
def test_a_control_character_is_refused_wherever_text_may_stand(text: str) -> None:
    document = full_of(text)
    found = problems(document)
    assert len(found) == texts(document)
    assert not [said for said in found if text in said]


@pytest.mark.parametrize("text", CONTROL, ids=ascii)
@pytest.mark.parametrize("where", ["labels", "sysctls"])
def test_a_control_character_is_refused_in_keys(where: str, text: str) -> None:
    assert problem(lab(**{where: {f"a{text}": "1"}})).endswith("allowed: printable characters on one line")
    assert "a flag" in problem(lab(kubernetes={"kubelet_args": {"a b": "1"}}))


def test_no_text_of_the_schema_is_forgotten_among_those() -> None:
    schema = Inventory.model_json_schema()
    keys = {
        key
        for section in (schema, *schema["$defs"].values())
        for key, each in section.get("properties", {}).items()
        if '"string"' in json.dumps(each)
    }

    def keys_of(value: Any) -> set[str]:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return {*(value if isinstance(value, dict) else ()), *(key for each in inside for key in keys_of(each))}

    assert keys - keys_of(full_of("x")) == set()
