"""The agent's part for volumes: what is done on the disk and in the cluster, in which order, and what when it fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bootstrap.node.api import Refusal
from bootstrap.node.volumes.disk import Volumes
from bootstrap.node.volumes.keep import CLASSES, VOLUMES, Known, VolumeKeeper
from bootstrap.node.volumes.model import Claim, Volume, claim_of, volume_of
from bootstrap.node.watch.mirror import Mirror
from tests.unit.node.volumes.objects import NAME, claim, volume

CLAIM_STATUS = "/api/v1/namespaces/default/persistentvolumeclaims/data/status"
EVENTS = "/api/v1/namespaces/default/events"


class Api:
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.refuses: dict[tuple[str, str], int] = {}
        self.storage_class: dict[str, Any] | None = {"reclaimPolicy": "Delete"}
        self.volume: dict[str, Any] | None = None

    def call(self, method: str, path: str, body: object = None, kind: str = "") -> Any:
        del kind
        self.asked.append((method, path))
        self.bodies.append(body)
        if (method, path) in self.refuses:
            raise Refusal(self.refuses[method, path], "no")
        return {}

    def find(self, path: str) -> Any:
        if path == f"{VOLUMES}/{NAME}":
            return self.volume
        assert path == f"{CLASSES}/local"
        return self.storage_class

    def close(self) -> None:
        """Nothing is open."""


class Node:
    """A node with its agent's keeper of volumes: `seconds` is its clock."""

    def __init__(self, folder: Path) -> None:
        self.api, self.seconds, self.said = Api(), 0.0, list[str]()
        self.claims: Mirror[Claim] = Mirror(lambda: None)
        self.volumes: Mirror[Volume] = Mirror(lambda: None)
        self.folder = folder / "volumes"
        self.disk = Volumes(self.folder, self.run)
        self.programs: list[str] = []
        self.keeper = VolumeKeeper(
            "n1", Known(self.claims, self.volumes), self.disk, self.api, self.said.append, clock=lambda: self.seconds
        )

    def run(self, *argv: str, seconds: float | None = None) -> str:
        """A file system without quotas; what is deleted is deleted."""
        del seconds
        self.programs.append(argv[0])
        if argv[0] == "rm":
            gone = Path(argv[-1])
            for file in gone.iterdir():
                file.unlink()
            gone.rmdir()
        return "rw,relatime"

    def knows(self, claims: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> str:
        """A round after the cluster has become this."""
        self.claims.replace(_read(claims, claim_of))
        self.volumes.replace(_read(volumes, volume_of))
        return self.keeper.round()


def _read(items: list[dict[str, Any]], read: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    return {item["metadata"]["name"]: read(item) for item in items}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_volume_is_a_directory_before_the_cluster_knows_of_it(node: Node) -> None:
    assert node.knows([claim(size="1Mi")], []) == ""
    assert (node.folder / NAME).is_dir()
    assert (node.folder / NAME).stat().st_mode & 0o777 == 0o777
    assert node.api.asked == [("POST", VOLUMES)]
    assert node.api.bodies[0]["spec"]["local"]["path"] == str(node.folder / NAME)
    assert f"volume {NAME}: 1Mi for default/data" in node.said


def test_nothing_is_done_before_everything_is_known(node: Node) -> None:
    node.claims.replace(_read([claim(size="1Mi")], claim_of))
    assert node.keeper.round() == ""
    assert node.api.asked == []


def test_what_was_made_is_not_made_again_while_the_news_are_under_way(node: Node) -> None:
    node.knows([claim(size="1Mi")], [])
    node.seconds += 2
    node.keeper.round()
    assert len(node.api.asked) == 1


def test_a_volume_that_the_cluster_has_already_is_no_failure(node: Node) -> None:
    node.api.refuses["POST", VOLUMES] = 409
    assert node.knows([claim(size="1Mi")], []) == ""


def test_a_class_may_say_that_volumes_stay(node: Node) -> None:
    node.api.storage_class = {"reclaimPolicy": "Retain"}
    node.knows([claim(size="1Mi")], [])
    assert node.api.bodies[0]["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_what_does_not_fit_is_said_at_the_claim_once_and_tried_again_later(node: Node) -> None:
    problem = node.knows([claim(size="4Ei")], [])
    assert "are left for volumes here" in problem
    assert [asked for asked in node.api.asked if asked == ("POST", EVENTS)] == [("POST", EVENTS)]
    assert node.api.bodies[0]["reason"] == "ProvisioningFailed"
    assert node.api.bodies[0]["message"].startswith("n1: 4096 PiB are wanted")
    assert list(node.folder.iterdir()) == []
    for _ in range(5):
        node.seconds += 300
        assert node.keeper.round() == problem
    assert len(node.api.asked) == 1
    # API servers forget it.
    node.seconds += 600
    node.keeper.round()
    assert len(node.api.asked) == 2


def test_what_could_not_be_told_is_told_the_next_time(node: Node) -> None:
    node.api.refuses["POST", EVENTS] = 503
    node.knows([claim(size="4Ei")], [])
    node.api.refuses = {}
    node.seconds += 5
    node.keeper.round()
    assert node.api.asked == [("POST", EVENTS)] * 2


def test_what_was_promised_a_moment_ago_counts(node: Node) -> None:
    whole = os.statvfs(node.folder.parent)
    most = f"{whole.f_blocks * whole.f_frsize // 2 * 9 // 10}"
    other = claim(size=most, uid="00000000-1111-2222-3333-444455556666")
    other["metadata"]["name"] = "other"
    problem = node.knows([claim(size=most), other], [])
    assert "are other volumes'" in problem or "of it free" in problem
    assert len(list(node.folder.iterdir())) < 2


def test_a_claim_that_no_directory_can_fill_is_told_so(node: Node) -> None:
    node.knows([claim(size="1Mi", accessModes=["ReadWriteMany"])], [])
    assert "ReadWriteMany" in node.api.bodies[0]["message"]


def test_trouble_that_is_over_is_not_told_any_more(node: Node) -> None:
    node.api.refuses["POST", VOLUMES] = 503
    assert "503" in node.knows([claim(size="1Mi")], [])
    node.api.refuses = {}
    node.seconds += 5
    assert node.keeper.round() == ""


def test_trouble_of_a_claim_that_is_gone_is_not_told_any_more(node: Node) -> None:
    assert node.knows([claim(size="4Ei")], [])
    assert node.knows([], []) == ""


def test_a_volume_grows_on_the_disk_first_then_for_its_claim(node: Node) -> None:
    (node.folder / NAME).mkdir(parents=True)
    assert node.knows([claim(size="2Mi", volume=NAME, has="1Mi")], [volume(size="1Mi")]) == ""
    assert node.api.asked == [("PATCH", f"{VOLUMES}/{NAME}"), ("PATCH", CLAIM_STATUS)]
    assert node.api.bodies[1]["status"]["capacity"] == {"storage": "2Mi"}


def test_a_claim_whose_volume_has_grown_already_is_told_its_size(node: Node) -> None:
    (node.folder / NAME).mkdir(parents=True)
    node.knows([claim(size="2Mi", volume=NAME, has="1Mi")], [volume(size="2Mi")])
    assert node.api.asked == [("PATCH", CLAIM_STATUS)]


def test_what_was_in_a_volume_is_deleted_before_the_cluster_forgets_it(node: Node) -> None:
    (node.folder / NAME).mkdir(parents=True)
    (node.folder / NAME / "file").write_text("data")
    node.api.volume = volume(phase="Released")
    node.api.volume["metadata"]["uid"] = "a-volume"
    assert node.knows([], [volume(phase="Released")]) == ""
    assert list(node.folder.iterdir()) == []
    assert node.api.asked == [("DELETE", f"{VOLUMES}/{NAME}")]
    assert node.api.bodies[0]["preconditions"] == {"uid": "a-volume"}


def test_data_stays_that_somebody_has_kept_at_the_last_moment(node: Node) -> None:
    (node.folder / NAME).mkdir(parents=True)
    node.api.volume = volume(phase="Released", reclaim="Retain")
    assert node.knows([], [volume(phase="Released")]) == ""
    assert (node.folder / NAME).is_dir()
    assert node.api.asked == []


def test_a_removal_that_was_cut_short_is_ended_at_the_next_start(node: Node) -> None:
    (node.folder / f".gone-{NAME}").mkdir(parents=True)
    node.knows([], [])
    assert list(node.folder.iterdir()) == []
    assert node.api.asked == []


def test_a_directory_that_the_cluster_does_not_know_stays(node: Node) -> None:
    (node.folder / NAME).mkdir(parents=True)
    node.knows([], [])
    assert (node.folder / NAME).is_dir()
