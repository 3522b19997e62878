"""clusterup adopt, as a second operator types it, from a server that is reached over a real sshd."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from bootstrap.constants.paths import HANDOVER
from bootstrap.operations.intent import Intent
from bootstrap.operations.reading import intent_of_file
from bootstrap.pki.sshkeys import fingerprint, new_ssh_key
from tests.integration.cli.test_plan_and_apply import Operator, operator
from tests.integration.transport.conftest import Server, User, sudoer, without_password

__all__ = ["operator", "sudoer"]


@dataclass(frozen=True)
class Cluster:
    """What the first operator has, and a server whose files below /etc and /var/lib/clusterup are those in `root`.

    Its sshd shows the host key of the node s1 and lets the cluster's own key in, as an installed node does.
    """

    intent: Intent
    sshd: Server
    root: Path

    @property
    def own_key(self) -> Path:
        return self.intent.state.ssh_key_file

    @property
    def handover(self) -> Path:
        return self.root / HANDOVER.lstrip("/")

    def is_a(self, *, image: str = "clusterup", variant: str = "", role: str = "server", cluster_id: str = "") -> None:
        """Make the machine say what it is."""
        etc = self.root / "etc"
        (etc / "os-release").write_text(f"IMAGE_ID={image}\nVARIANT_ID={variant}\n")
        described = {"cluster": "lab", "id": cluster_id or self.intent.state.cluster_id, "node": "s1", "role": role}
        (etc / "clusterup" / "cluster.json").write_text(json.dumps(described) + "\n")


@pytest.fixture
def cluster(operator: Operator, start_sshd: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    root = operator.folder / "server"
    (root / "etc" / "clusterup").mkdir(parents=True)
    shell = operator.folder / "shell"
    shell.write_text(
        "#!/bin/sh\n"
        f"command=$(printf '%s' \"$SSH_ORIGINAL_COMMAND\" | sed 's,/etc/,{root}&,g; s,/var/lib/clusterup,{root}&,g')\n"
        'exec sh -c "$command"\n'
    )
    for path in (shell, operator.folder, operator.folder.parent, operator.folder.parent.parent):
        path.chmod(0o755)
    sshd = start_sshd(f"ForceCommand {shell}")
    operator.sshd = sshd
    # The paths in it are those of the first operator's machine.
    operator.inventory(host_key=new_ssh_key().public)
    text = yaml.safe_load((operator.folder / "lab.yaml").read_text())
    text["nodes"][0]["ssh"]["key"] = "/home/first/.ssh/id_lab"
    (operator.folder / "lab.yaml").write_text(f"# Ours.\n{json.dumps(text)}\n")
    monkeypatch.setenv("XDG_STATE_HOME", str(operator.folder / "state"))
    state = operator.folder / "state" / "clusterup" / "clusters" / "lab"
    for source, name in ((sshd.folder / "host_key", "nodes/s1/ssh_host_ed25519_key"), (sshd.key, "ssh/id_ed25519")):
        (state / name).parent.mkdir(mode=0o700, parents=True)
        shutil.copy(source, state / name)
    made = Cluster(intent_of_file(operator.folder / "lab.yaml", None), sshd, root)
    made.intent.state.keep_made()
    made.is_a()
    made.handover.parent.mkdir(parents=True)
    file = made.intent.nodes["s1"].handover
    assert file is not None
    made.handover.write_bytes(file.content)
    made.handover.chmod(file.mode)
    return made


@pytest.fixture
def second(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Operator:
    """Another operator in an empty folder on an empty machine."""
    return Operator(tmp_path_factory.mktemp("second"), cluster.sshd)


def adopt(second: Operator, cluster: Cluster, *more: str, user: str = "root") -> subprocess.CompletedProcess[str]:
    known = () if "--host-key" in more else ("--host-key", cluster.sshd.host_key)
    place = f"{user}@127.0.0.1:{cluster.sshd.port}"
    return second.types("adopt", place, "--key", str(cluster.own_key), *known, *more)


def state_of(second: Operator) -> Path:
    return second.folder / "state" / "clusterup" / "clusters" / "lab"


def test_keys_identities_and_the_inventory_come_back_and_want_the_same_files(
    cluster: Cluster, second: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = adopt(second, cluster)
    assert done.returncode == 0, done.stderr
    assert "the cluster lab, as s1 has it: servers s1; agents none" in done.stdout
    assert "next: clusterup plan lab.yaml" in done.stdout
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    assert (second.folder / "lab.yaml").read_bytes() == cluster.intent.kubeconfig.with_name("lab.yaml").read_bytes()
    assert stat.S_IMODE(state_of(second).stat().st_mode) == 0o700
    for file in (*state_of(second).rglob("*"), second.folder / "lab.kubeconfig"):
        assert file.is_dir() or stat.S_IMODE(file.stat().st_mode) == 0o600, file
    monkeypatch.setenv("XDG_STATE_HOME", str(second.folder / "state"))
    theirs = intent_of_file(second.folder / "lab.yaml", None)
    assert theirs.nodes["s1"].files == cluster.intent.nodes["s1"].files
    assert theirs.nodes["s1"].handover == cluster.intent.nodes["s1"].handover


def test_the_first_operator_s_bundle_is_named_where_it_is_not_on_this_machine(
    cluster: Cluster, second: Operator
) -> None:
    payload = cluster.intent.bundle.artifact("payload").sha256
    assert payload not in adopt(second, cluster).stdout
    shutil.move(cluster.intent.bundle.directory, cluster.intent.bundle.directory.with_name("away"))
    said = adopt(second, cluster).stdout
    assert f"payload {payload}" in said
    assert "copy its folder from the operator who has it" in said


def test_the_adopted_cluster_is_reached_with_its_own_key_and_no_host_key_is_asked_about(
    cluster: Cluster, second: Operator
) -> None:
    shutil.move(cluster.intent.bundle.directory, cluster.intent.bundle.directory.with_name("away"))
    assert adopt(second, cluster).returncode == 0
    planned = second.types("plan", "lab.yaml", "-o", "json")
    lines = [json.loads(line) for line in planned.stdout.splitlines()]
    (facts,) = [line for line in lines if line.get("event") == "FactsRead"]
    assert (facts["node"], facts["error"]) == ("s1", None)
    assert not (state_of(second) / "hostkeys.json").exists()


def test_a_node_that_lets_no_key_in_names_the_one_that_is_not_on_this_machine(
    cluster: Cluster, second: Operator
) -> None:
    assert adopt(second, cluster).returncode == 0
    (cluster.sshd.folder / "authorized_keys").write_text("")
    failed = second.types("plan", "lab.yaml")
    assert failed.returncode == 1
    assert "key /home/first/.ssh/id_lab: No such file or directory" in failed.stderr
    assert f"key {state_of(second)}/ssh/id_ed25519" in failed.stderr
    assert "next: /home/first/.ssh/id_lab is not on this machine: name a key that is (ssh.key)" in failed.stderr


def test_a_user_who_may_use_sudo_can_adopt(cluster: Cluster, second: Operator, sudoer: User) -> None:
    without_password(sudoer)
    cluster.handover.chmod(0o600)
    done = adopt(second, cluster, user=sudoer.name)
    assert done.returncode == 0, done.stderr
    assert (state_of(second) / "cluster-id").read_text() == cluster.intent.state.cluster_id


def test_a_second_time_there_is_nothing_to_do(cluster: Cluster, second: Operator) -> None:
    assert adopt(second, cluster).returncode == 0
    again = adopt(second, cluster)
    assert again.returncode == 0, again.stderr
    assert f"state: {state_of(second)}: nothing to do, it is the same" in again.stdout


def test_the_first_operator_has_it_already(cluster: Cluster, operator: Operator) -> None:
    done = adopt(operator, cluster)
    assert done.returncode == 0, done.stderr
    assert "nothing to do, it is the same" in done.stdout


def test_another_file_is_never_replaced_and_another_place_can_be_named(cluster: Cluster, second: Operator) -> None:
    mine = second.folder / "lab.yaml"
    mine.write_text("mine")
    refused = adopt(second, cluster)
    assert refused.returncode == 4
    assert "lab.yaml is there" in refused.stderr
    assert mine.read_text() == "mine"
    assert not state_of(second).exists()
    assert adopt(second, cluster, "--inventory", "theirs.yaml").returncode == 0
    assert (second.folder / "theirs.yaml").read_text().startswith("# Ours.")


def test_the_state_of_another_cluster_is_refused_with_its_folder(cluster: Cluster, second: Operator) -> None:
    state_of(second).mkdir(mode=0o700, parents=True)
    (state_of(second) / "cluster-id").write_text("0" * 32)
    for more in ((), ("--refresh",)):
        refused = adopt(second, cluster, *more)
        assert refused.returncode == 4
        assert "there is a state of another cluster lab on this machine" in refused.stderr
        assert f"mv {state_of(second)} " in refused.stderr
    assert (state_of(second) / "cluster-id").read_text() == "0" * 32


def test_what_changed_since_is_taken_over_with_refresh(cluster: Cluster, second: Operator) -> None:
    assert adopt(second, cluster).returncode == 0
    identity = state_of(second) / "nodes" / "s1" / "machine-id"
    right = identity.read_text()
    identity.write_text("0" * 32)
    refused = adopt(second, cluster)
    assert refused.returncode == 4
    assert "other ones: nodes/s1/machine-id" in refused.stderr
    assert adopt(second, cluster, "--refresh").returncode == 0
    assert identity.read_text() == right


def test_a_host_key_that_no_one_vouched_for_is_refused_with_the_option_to_give_it(
    cluster: Cluster, second: Operator
) -> None:
    place = f"root@127.0.0.1:{cluster.sshd.port}"
    refused = second.types("adopt", place, "--key", str(cluster.own_key))
    assert refused.returncode == 4
    assert fingerprint(cluster.sshd.host_key) in refused.stderr
    assert f"--host-key '{cluster.sshd.host_key}'" in refused.stderr
    assert "Accepted publickey" not in cluster.sshd.log


def test_a_host_key_that_ssh_knows_is_believed_and_another_one_is_not(cluster: Cluster, second: Operator) -> None:
    place = f"root@127.0.0.1:{cluster.sshd.port}"
    known = second.folder / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"[127.0.0.1]:{cluster.sshd.port} {new_ssh_key().public}\n")
    refused = second.types("adopt", place, "--key", str(cluster.own_key))
    assert refused.returncode == 4
    assert f"ssh-keygen -R '[127.0.0.1]:{cluster.sshd.port}'" in refused.stderr
    assert "Accepted publickey" not in cluster.sshd.log
    known.write_text(f"[127.0.0.1]:{cluster.sshd.port} {cluster.sshd.host_key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    assert second.types("adopt", place, "--key", str(cluster.own_key)).returncode == 0


def test_another_host_key_than_the_given_one_is_refused(cluster: Cluster, second: Operator) -> None:
    given = new_ssh_key().public
    refused = adopt(second, cluster, "--host-key", given)
    assert refused.returncode == 4
    assert fingerprint(given) in refused.stderr
    assert fingerprint(cluster.sshd.host_key) in refused.stderr
    assert "Accepted publickey" not in cluster.sshd.log


def test_a_server_that_lets_no_key_in_says_which_one_would(cluster: Cluster, second: Operator) -> None:
    (cluster.sshd.folder / "authorized_keys").write_text("")
    failed = adopt(second, cluster)
    assert failed.returncode == 1
    assert "name a key that it lets in with --key" in failed.stderr
    assert "ssh_authorized_keys" in failed.stderr


def test_machines_that_have_nothing_to_hand_over_are_told_apart(cluster: Cluster, second: Operator) -> None:
    cluster.handover.unlink()

    def says(text: str) -> None:
        failed = adopt(second, cluster)
        assert failed.returncode == 1
        assert f"127.0.0.1: adopt: {text}" in failed.stderr
        assert not state_of(second).exists()

    says("it is a server of the cluster lab and has no handover file")
    cluster.is_a(role="agent")
    says("it is an agent of the cluster lab; only servers keep what is handed over")
    cluster.is_a(variant="live")
    says("it runs our live environment and belongs to no cluster yet")
    cluster.is_a(image="")
    says("it does not run the micro OS of a cluster")


def test_a_damaged_or_tampered_file_leaves_nothing_here(cluster: Cluster, second: Operator) -> None:
    content = cluster.handover.read_bytes()
    cluster.handover.write_bytes(content[:-100])
    failed = adopt(second, cluster)
    assert failed.returncode == 1
    assert "its handover file is damaged" in failed.stderr
    data = json.loads(content)
    data["state"]["../../../../escaped"] = "x"
    cluster.handover.write_text(json.dumps(data))
    failed = adopt(second, cluster)
    assert failed.returncode == 1
    assert "holds what is never handed over" in failed.stderr
    assert {path.name for path in second.folder.rglob("*") if path.is_file()} == set()


def test_a_file_of_another_cluster_than_the_machine_is_refused(cluster: Cluster, second: Operator) -> None:
    cluster.is_a(cluster_id="0" * 32)
    refused = adopt(second, cluster)
    assert refused.returncode == 4
    assert "of another cluster than the machine" in refused.stderr


def test_a_server_that_is_no_place_is_bad_use(cluster: Cluster, second: Operator) -> None:
    assert second.types("adopt", "root@:22").returncode == 2
    assert second.types("adopt", "s1", "--key", "absent").returncode == 2
