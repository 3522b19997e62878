"""What an inventory names under `manifests` is read in the order in which it is applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.inventory.manifests import ManifestSource
from bootstrap.manifests.kept import Kept, config_map
from bootstrap.manifests.sources import Entry, read_entries, require_others, troubles_of


def fetches_nothing(url: str, sha256: str) -> bytes:
    raise AssertionError(f"{url} {sha256}")


def written(name: str, kind: str = "ConfigMap", more: str = "") -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{ name: {name} }}\n{more}"


def read(folder: Path, *paths: str) -> tuple[Entry, ...]:
    sources = [ManifestSource(path=path) for path in paths]
    return read_entries(sources, folder / "inventory.yaml", fetches_nothing)


def refused(folder: Path, *paths: str) -> BadUse:
    with pytest.raises(BadUse) as caught:
        read(folder, *paths)
    return caught.value


def test_a_folder_s_files_are_taken_in_the_order_of_their_names(tmp_path: Path) -> None:
    apps = tmp_path / "apps"
    apps.mkdir()
    for name in ("20-web.yaml", "10-base.yml", "30-more.json", "README.md", ".hidden.yaml"):
        (apps / name).write_text(written(f"a{name[:2]}"))
    (entry,) = read(tmp_path, "apps/")
    assert [each.place for each in entry.objects] == ["apps/10-base.yml:1", "apps/20-web.yaml:1", "apps/30-more.json:1"]


def test_namespaces_come_first_and_then_definitions_of_kinds(tmp_path: Path) -> None:
    kinds = ("Service", "CustomResourceDefinition", "Namespace", "Deployment")
    (tmp_path / "all.yaml").write_text("---\n".join(written(f"a{n}", kind) for n, kind in enumerate(kinds)))
    (entry,) = read(tmp_path, "all.yaml")
    assert [each.manifest["kind"] for each in entry.objects] == [
        "Namespace",
        "CustomResourceDefinition",
        "Service",
        "Deployment",
    ]


def test_a_path_in_the_home_folder_and_one_from_the_root_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.yaml").write_text(written("a"))
    (tmp_path / "b.yaml").write_text(written("b"))
    found = read(tmp_path / "elsewhere", "~/a.yaml", str(tmp_path / "b.yaml"))
    assert [entry.objects[0].manifest["metadata"]["name"] for entry in found] == ["a", "b"]


def test_what_is_at_an_address_is_asked_for_by_its_sha256() -> None:
    asked = []

    def fetch(url: str, sha256: str) -> bytes:
        asked.append((url, sha256))
        return written("web").encode()

    source = ManifestSource(url="https://example.org/web.yaml", sha256="5" * 64)
    (entry,) = read_entries([source], Path("inventory.yaml"), fetch)
    assert asked == [("https://example.org/web.yaml", "5" * 64)]
    assert entry.objects[0].place == "https://example.org/web.yaml:1"


def test_an_object_is_written_once_in_all_of_them_whatever_the_version_of_its_api(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(written("web", "Ingress").replace("v1", "networking.k8s.io/v1"))
    (tmp_path / "b.yaml").write_text("\n" + written("web", "Ingress").replace("v1", "networking.k8s.io/v1beta1"))
    error = refused(tmp_path, "a.yaml", "b.yaml")
    assert (error.problem, error.got) == ("Ingress/web is written twice", "at a.yaml:1 and at b.yaml:2")


def test_what_is_not_there_is_said_with_where_it_is_looked_for(tmp_path: Path) -> None:
    error = refused(tmp_path, "apps")
    assert error.problem == f"the manifests at {tmp_path / 'apps'} can't be used"
    assert error.got == "No such file or directory"
    assert "relative to the folder of the inventory" in (error.hint or "")


def test_a_folder_without_manifests_and_a_file_without_objects_are_no_way_to_take_all_out(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert refused(tmp_path, "apps").got == "no file in this folder ends with .yaml, .yml, .json"
    assert refused(tmp_path, "empty.yaml").got == "there is no object in it"


def test_a_folder_for_kustomize_is_said_with_the_command_that_makes_a_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "kustomization.yaml").write_text("resources: [web.yaml]\n")
    assert "kubectl kustomize apps >apps.yaml" in (refused(tmp_path, "apps").hint or "")


def test_what_is_wrong_with_each_entry_is_found_at_once_and_nothing_is_fetched_for_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(written("a"))
    (tmp_path / "again.yaml").write_text(written("a"))
    (tmp_path / "b.yaml").write_text("kind: Pod\n")
    sources = [ManifestSource(path=each) for each in ("gone.yaml", "a.yaml", "b.yaml", "again.yaml")]
    sources.append(ManifestSource(url="https://example.org/a.yaml", sha256="5" * 64))
    found = [(number, error.got) for number, error in troubles_of(sources, tmp_path / "inventory.yaml")]
    assert found == [
        (0, "No such file or directory"),
        (2, "the object has no apiVersion"),
        (3, "at a.yaml:1 and at again.yaml:1"),
    ]


def test_clusterup_s_own_objects_are_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: clusterup-manifests, namespace: kube-system }\n"
    )
    entries = read(tmp_path, "a.yaml")
    require_others(entries, [])
    with pytest.raises(BadUse, match="ConfigMap/kube-system/clusterup-manifests is one of clusterup's own"):
        require_others(entries, [config_map(Kept())])


def test_the_digest_of_an_entry_says_nothing_of_the_values_of_its_secrets(tmp_path: Path) -> None:
    digests = set()
    for value in ("hunter2", "hunter3"):
        (tmp_path / "a.yaml").write_text(written("a", "Secret", f"stringData: {{ password: {value} }}\n"))
        digests.add(read(tmp_path, "a.yaml")[0].digest)
    (tmp_path / "a.yaml").write_text(written("b", "Secret"))
    assert len(digests) == 1
    assert read(tmp_path, "a.yaml")[0].digest not in digests
    assert "hunter" not in repr(read(tmp_path, "a.yaml"))
