"""Where releases come from: which is the newest, what stands in for their servers, and what a person adds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image.upstream import fetch
from bootstrap.image.upstream.adding import ARCHITECTURES, text_of, with_release
from bootstrap.image.upstream.components import COMPONENTS, Component
from bootstrap.image.upstream.digests import digest_of
from bootstrap.image.upstream.fetch import (
    SERVER,
    kept_release,
    newest_release,
    wanted_release,
    why_not_reached,
)
from bootstrap.image.upstream.table import Table, read_table, table_in
from bootstrap.paths import templates_dir
from tests.integration.image.release_server import ReleaseServer
from tests.integration.image.releases import (
    ARCHITECTURE,
    RELEASE,
    Published,
    fetched,
    published,
    sha256,
)

KUBERNETES = Published(SERVER, RELEASE)
EVERY = pytest.mark.parametrize("component", [SERVER, *COMPONENTS.values()], ids=lambda each: each.name)


def test_the_newest_release_of_a_minor_version_is_what_its_project_says(server: ReleaseServer) -> None:
    server.files["/mirror/dl.k8s.io/release/stable-1.36.txt"] = b"v1.36.4\n"
    assert newest_release("1.36", print) == "1.36.4"
    assert why_not_reached("1.36") is None


@pytest.mark.parametrize("said", [b"", b"v1.35.9", b"<html>", b"v1.36", b"v1.36.4/../x"])
def test_a_newest_release_that_is_none_is_not_believed(server: ReleaseServer, said: bytes) -> None:
    server.files["/mirror/dl.k8s.io/release/stable-1.36.txt"] = said
    with pytest.raises(ClusterupError, match=r"does not say what the newest release of 1\.36 is"):
        newest_release("1.36", print)


@pytest.mark.parametrize(
    "version", ["", "v", "1", "latest", "1.31.2/../../x", "1.31.2\n", " 1.31.2", "vv1.31.2", "1.31.2-x", "1.٣١.2"]
)
def test_a_version_that_is_none_is_bad_use(version: str) -> None:
    with pytest.raises(BadUse, match="is not a release of Kubernetes"):
        wanted_release(version)


@pytest.mark.parametrize("version", ["1.36", "v1.36.2", "1.36.0-rc.1"])
def test_a_release_a_minor_version_and_a_candidate_are_versions(version: str) -> None:
    assert wanted_release(version) == version.removeprefix("v")


@pytest.mark.parametrize(
    "address", ["mirror", "http://mirror", "file:///srv", "https://", "https://host:port", "https://me:secret@mirror"]
)
def test_a_mirror_that_has_no_https_address_is_bad_use(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CLUSTERUP_MIRROR", address)
    with pytest.raises(BadUse, match="CLUSTERUP_MIRROR is not the address of a mirror") as refused:
        newest_release("1.36", print)
    assert "secret" not in str(refused.value)


def test_the_table_names_a_release_of_every_component_for_every_minor_version() -> None:
    table: Table = read_table()
    assert table.newest in table.minors
    for releases in table.components.values():
        assert set(releases) == set(COMPONENTS)
    for name in table.digests:
        component, _, release = name.partition(" ")
        assert component == "kubernetes" or release in {each[component] for each in table.components.values()}


@pytest.mark.parametrize(
    "added", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "digests": {"etcd 1.2.3": {"amd64": "sha256:12"}}}']
)
def test_a_table_of_a_person_s_own_that_is_none_is_bad_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, added: str
) -> None:
    (tmp_path / "more.json").write_text(added)
    monkeypatch.setenv("CLUSTERUP_RELEASES", str(tmp_path / "more.json"))
    with pytest.raises(BadUse, match="is not a table of releases"):
        read_table()


def test_the_variable_of_before_is_named_with_what_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERUP_KUBERNETES_URL", "https://mirror")
    with pytest.raises(BadUse, match="CLUSTERUP_KUBERNETES_URL is not read any more") as refused:
        newest_release("1.36", print)
    assert "CLUSTERUP_MIRROR" in refused.value.hint


def test_what_the_environment_says_of_the_network_and_can_t_be_used_is_named(
    server: ReleaseServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "not there"))
    with pytest.raises(BadUse, match="what the environment says of the network can't be used") as refused:
        fetched(KUBERNETES)
    assert "SSL_CERT_FILE" in (refused.value.tried or "")
    assert server.requests == []


@EVERY
def test_an_answer_that_is_no_file_is_never_taken_for_no_network(server: ReleaseServer, component: Component) -> None:
    """Whoever is answered by a proxy, or by a server that is busy, does not get another Kubernetes instead."""
    published(server, component)
    with pytest.raises(ClusterupError, match="may not exist"):
        why_not_reached("1.36")


def test_what_was_fetched_whole_before_is_found_again_wherever_it_came_from(
    server: ReleaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = read_table().components["1.36"]
    for component, release in ((SERVER, "1.36.99"), *((COMPONENTS[name], each) for name, each in row.items())):
        part = Published(component, release)
        part.put(server, content := part.content())
        assert kept_release("1.36", ARCHITECTURE) is None
        # What the table pins is another file than this one.
        monkeypatch.setattr(fetch, "digest_for", lambda *_, said=content: digest_of("sha256", sha256(said), "a test"))
        fetched(part)
    monkeypatch.delenv("CLUSTERUP_MIRROR")
    assert kept_release("1.36", ARCHITECTURE) == "1.36.99"
    assert kept_release("1.36.98", ARCHITECTURE) is None


def test_a_row_of_the_table_is_made_of_what_two_places_say(server: ReleaseServer, tmp_path: Path) -> None:
    releases = {"cni-plugins": "9.1.0", "containerd": "9.2.0", "crictl": "9.3.0", "etcd": "9.4.0", "runc": "9.5.0"}
    contents = {}
    for component, release in ((SERVER, "1.36.99"), *((COMPONENTS[name], each) for name, each in releases.items())):
        for architecture in ARCHITECTURES:
            part = Published(component, release, architecture)
            part.put(server, content := part.content())
            contents[f"{component.name} {release}", architecture] = content
    server.files["/mirror/dl.k8s.io/release/stable-1.36.txt"] = b"v1.36.99"
    file = tmp_path / "table.json"
    file.write_text(text_of(with_release({"format": 1}, "1.36", releases, print)))
    table = table_in(file)
    assert table.components == {"1.36": releases}
    for (name, architecture), content in contents.items():
        digest = table.digests[name][architecture]
        assert digest.value == hashlib.new(digest.algorithm, content).hexdigest()


def test_the_table_is_written_as_the_script_writes_it() -> None:
    written = (templates_dir() / "releases.json").read_text()
    assert text_of(json.loads(written)) == written
