"""A cluster is put into the kubeconfig of somebody who has others in it."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from bootstrap.errors import BadUse, Refused
from bootstrap.pki import kubeconfig_merge
from bootstrap.pki.kubeconfig import Kubeconfig, client_kubeconfig
from bootstrap.pki.kubeconfig_merge import merge_kubeconfig, others_in, own_kubeconfig
from bootstrap.pki.x509 import KeyPair, Usage, issue, new_key, self_signed

WRITERS = 6


@cache
def authority(of: str) -> KeyPair:
    key = new_key()
    return KeyPair(self_signed(of, key), key)


def kubeconfig(name: str, *, of: str = "") -> Kubeconfig:
    """That of a cluster of that name; `of` tells its authority from others'."""
    ca = authority(of or name)
    return client_kubeconfig(name, f"https://{name}:6443", ca.cert_pem, "admin", client(of or name))


@cache
def client(of: str) -> KeyPair:
    return issue(authority(of), new_key(), common_name="admin", usage=Usage.CLIENT)


def written(path: Path, text: str) -> Path:
    path.write_text(dedent(text))
    return path


def test_what_others_wrote_stays_and_the_new_context_is_the_current_one(tmp_path: Path) -> None:
    path = tmp_path / "config"
    other = {**kubeconfig("work"), "preferences": {"colors": True}}
    path.write_text(yaml.safe_dump(other))
    merge_kubeconfig(path, kubeconfig("lab"))
    merged = yaml.safe_load(path.read_text())
    assert [entry["name"] for entry in merged["contexts"]] == ["work", "lab"]
    assert merged["preferences"] == {"colors": True}
    assert merged["current-context"] == "lab"
    assert yaml.safe_load((tmp_path / "config.bak").read_text()) == other


def test_merging_twice_changes_nothing_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\nkind: Config\n")
    merge_kubeconfig(path, kubeconfig("lab"))
    (tmp_path / "config.bak").unlink()
    first = path.read_bytes()
    merge_kubeconfig(path, kubeconfig("lab"))
    assert path.read_bytes() == first
    assert [each.name for each in tmp_path.iterdir()] == ["config"]


def test_what_is_not_ours_is_written_as_it_was(tmp_path: Path) -> None:
    """Numbers that are text to those who read them, dates, words that YAML takes for others, quotes."""
    path = written(
        tmp_path / "config",
        """\
        apiVersion: v1
        kind: Config
        users:
        - name: 012
          user:
            username: 012
            password: 1e3
            token: "0x1F"
        - name: yes
          user: {username: 2001-01-01, password: ~, auth-provider: &a {name: 1_000}}
        - name: again
          user: *a
        clusters: []
        contexts:
        extensions:
        - {name: no, extension: !!binary aGVsbG8=}
        """,
    )
    merge_kubeconfig(path, kubeconfig("lab"))
    text = path.read_text()
    for kept in ("name: 012", "username: 012", "password: 1e3", '"0x1F"', "name: yes", "2001-01-01", "~", "1_000"):
        assert kept in text
    assert "name: no" in text
    assert yaml.safe_load(text)["extensions"] == [{"name": False, "extension": b"hello"}]
    assert yaml.safe_load(text)["users"][2]["user"] == {"name": 1000}


@pytest.mark.parametrize("content", ["", "\n", "---\n", "null\n", "# nothing yet\n", "apiVersion: v1\n"])
def test_a_file_in_which_nothing_stands_yet(tmp_path: Path, content: str) -> None:
    path = written(tmp_path / "config", content)
    merge_kubeconfig(path, kubeconfig("lab"))
    assert yaml.safe_load(path.read_text())["current-context"] == "lab"


def test_a_kubeconfig_in_json_stays_json(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text('{"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [{"name": "1"}]}')
    merge_kubeconfig(path, kubeconfig("lab"))
    assert path.read_text().startswith("{")
    assert [user["name"] for user in yaml.safe_load(path.read_text())["users"]] == ["1", "admin@lab"]


@pytest.mark.parametrize(
    "content", ["{", "kind: Pod", "- a\n- b", "\x00", "text", "5", "clusters: lab", "users: {a: b}", "a: 1\n---\nb: 2"]
)
def test_what_is_no_kubeconfig_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(BadUse) as refused:
        merge_kubeconfig(path, kubeconfig("lab"))
    assert str(path) in str(refused.value)
    assert "clusterup kubeconfig --out FILE" in str(refused.value)
    assert path.read_text() == content
    assert [each.name for each in tmp_path.iterdir()] == ["config"]


# Entries that have the same name


def test_what_a_person_added_to_an_entry_of_ours_stays(tmp_path: Path) -> None:
    path = tmp_path / "config"
    ours = kubeconfig("lab")
    ours["contexts"][0]["context"]["namespace"] = "web"
    ours["clusters"][0]["cluster"] |= {"proxy-url": "socks5://127.0.0.1:1080", "server": "https://old:6443"}
    path.write_text(yaml.safe_dump(ours))
    merge_kubeconfig(path, kubeconfig("lab"))
    merged = yaml.safe_load(path.read_text())
    assert merged["contexts"][0]["context"] == {"cluster": "lab", "user": "admin@lab", "namespace": "web"}
    assert merged["clusters"][0]["cluster"]["proxy-url"] == "socks5://127.0.0.1:1080"
    assert merged["clusters"][0]["cluster"]["server"] == "https://lab:6443"


def test_a_renewed_certificate_of_the_same_authority_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig("lab")))
    client.cache_clear()
    assert others_in(path, kubeconfig("lab")) == []
    merge_kubeconfig(path, kubeconfig("lab"))
    assert yaml.safe_load(path.read_text())["users"] == kubeconfig("lab")["users"]


def test_entries_of_another_cluster_are_replaced_only_when_somebody_said_so(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(before := yaml.safe_dump(kubeconfig("lab", of="another")))
    with pytest.raises(Refused) as refused:
        merge_kubeconfig(path, kubeconfig("lab"))
    assert "the cluster 'lab' (https://lab:6443)" in str(refused.value)
    assert "the user 'admin@lab'" in str(refused.value)
    assert path.read_text() == before
    merge_kubeconfig(path, kubeconfig("lab"), others_in(path, kubeconfig("lab")))
    assert yaml.safe_load(path.read_text())["clusters"] == kubeconfig("lab")["clusters"]


def test_a_context_of_our_name_that_leads_elsewhere_is_another_s(tmp_path: Path) -> None:
    path = written(tmp_path / "config", "contexts: [{name: lab, context: {cluster: work, user: me}}]")
    (other,) = others_in(path, kubeconfig("lab"))
    assert str(other) == "the context 'lab' (user 'me' of the cluster 'work')"


@pytest.mark.parametrize("cluster", ["{insecure-skip-tls-verify: true, server: 'https://x'}", "{}", "null"])
def test_an_entry_without_our_authority_is_another_s(tmp_path: Path, cluster: str) -> None:
    path = written(tmp_path / "config", f"clusters: [{{name: lab, cluster: {cluster}}}]")
    assert [other.kind for other in others_in(path, kubeconfig("lab"))] == ["cluster"]


def test_an_authority_in_a_file_of_its_own_is_read(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(authority("lab").cert_pem)
    path = written(
        tmp_path / "config", "clusters: [{name: lab, cluster: {certificate-authority: ca.crt, server: 'https://x'}}]"
    )
    merge_kubeconfig(path, kubeconfig("lab"))
    entry = yaml.safe_load(path.read_text())["clusters"][0]["cluster"]
    assert set(entry) == {"server", "certificate-authority-data"}
    assert base64.b64decode(entry["certificate-authority-data"]) == authority("lab").cert_pem


# The file


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "kubeconfig"
    real.parent.mkdir()
    real.write_text(yaml.safe_dump(kubeconfig("work")))
    path = tmp_path / "config"
    path.symlink_to("dotfiles/kubeconfig")
    merge_kubeconfig(path, kubeconfig("lab"))
    assert path.is_symlink()
    assert len(yaml.safe_load(real.read_text())["contexts"]) == 2
    assert [each.name for each in real.parent.iterdir()] == ["kubeconfig"]


def test_a_link_to_what_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.symlink_to("later")
    merge_kubeconfig(path, kubeconfig("lab"))
    assert path.is_symlink()
    assert (tmp_path / "later").is_file()


@pytest.mark.parametrize(("mode", "after"), [(0o400, 0o400), (0o600, 0o600), (0o644, 0o600), (0o440, 0o400)])
def test_its_mode_stays_but_nobody_else_reads_the_keys_that_came(tmp_path: Path, mode: int, after: int) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig("work")))
    path.chmod(mode)
    merge_kubeconfig(path, kubeconfig("lab"))
    assert stat.S_IMODE(path.stat().st_mode) == after


def test_several_writers_at_once_leave_all_of_their_clusters(tmp_path: Path) -> None:
    path = tmp_path / "config"
    writers = [
        threading.Thread(target=merge_kubeconfig, args=(path, kubeconfig(f"lab-{number}"))) for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(yaml.safe_load(path.read_text())["clusters"]) == WRITERS
    assert not (tmp_path / "config.lock").exists()


def test_a_lock_that_kubectl_left_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig_merge, "WRITER", 0.1)
    path = tmp_path / "config"
    (tmp_path / "config.lock").touch()
    with pytest.raises(BadUse, match="somebody else is writing") as refused:
        merge_kubeconfig(path, kubeconfig("lab"))
    assert f"rm {path}.lock" in str(refused.value)
    assert not path.exists()


WRITES = """\
import os, sys
from pathlib import Path
from bootstrap.errors import BadUse
from bootstrap.pki.kubeconfig_merge import merge_kubeconfig
from tests.unit.pki.test_kubeconfig_merging import kubeconfig
new = kubeconfig("lab")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    merge_kubeconfig(Path(sys.argv[1]), new)
except BadUse as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="this machine has no second user to be, without root")
@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o600), (0o700, 0o644), (0o755, 0o644)])
def test_a_place_that_is_another_s_is_said(tmp_path: Path, folder: int, file: int) -> None:
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.getuid() and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    place = tmp_path / "home"
    place.mkdir()
    path = place / "config"
    path.write_text("kind: Config")
    path.chmod(file)
    place.chmod(folder)
    done = subprocess.run(
        [sys.executable, "-c", WRITES, str(path)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert f"{path} can't be" in done.stdout
    assert "Permission denied" in done.stdout
    assert "next: " in done.stdout


@pytest.mark.parametrize(
    ("variable", "found"),
    [
        ("/a/config", "/a/config"),
        ("/a/config:/b/config", "/a/config"),
        (":/a/config", "/a/config"),
        ("::/a/config:", "/a/config"),
        ("", "/home/me/.kube/config"),
        (":", "/home/me/.kube/config"),
    ],
)
def test_the_first_of_the_variable_that_is_not_empty_is_one_s_own(
    monkeypatch: pytest.MonkeyPatch, variable: str, found: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("KUBECONFIG", variable)
    assert own_kubeconfig() == Path(found)


def test_a_folder_on_the_way_may_be_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dotfiles" / "kube").mkdir(parents=True)
    (tmp_path / ".kube").symlink_to("dotfiles/kube")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(kubeconfig_merge, "WRITER", 0.1)
    for number, path in enumerate((tmp_path / ".kube" / "config", Path("../.kube/config"))):
        merge_kubeconfig(path, kubeconfig(f"lab-{number}"))
    assert len(yaml.safe_load((tmp_path / "dotfiles" / "kube" / "config").read_text())["clusters"]) == 2


def test_an_empty_kubeconfig_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.touch(mode=0o400)
    merge_kubeconfig(path, kubeconfig("lab"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_a_pipe_and_a_folder_are_no_kubeconfigs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, said in (("pipe", "not a file, but a device or a pipe"), ("folder", "it is a folder")):
        with pytest.raises(BadUse, match=said):
            merge_kubeconfig(tmp_path / name, kubeconfig("lab"))
