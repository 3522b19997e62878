"""Following what the cluster has: lists in parts, changes, and everything that an API server may answer instead."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bootstrap.node.watch.follow import Expired, Follower, Kind, Unanswered
from bootstrap.node.watch.mirror import Mirror
from tests.unit.node.watch.api import Api, Said, api_that_says


def value_of(item: Mapping[str, Any]) -> str:
    value = item["value"]
    if value == "odd":
        raise ValueError("an object can't be understood")
    return str(value)


def thing(name: str, value: str, version: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": name, "resourceVersion": version}, "value": value}


def listed(version: str, *things: dict[str, Any], going_on: str = "") -> Said:
    return Said([{"metadata": {"resourceVersion": version, "continue": going_on}, "items": things}])


def event(kind: str, thing: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": thing}


def following(api: Api, *paths: str) -> tuple[Follower[str], Mirror[str], list[str]]:
    mirror: Mirror[str] = Mirror(lambda: None)
    said: list[str] = []
    kind = Kind("things", paths or ("/things",), value_of)
    return Follower(kind, api.server, mirror, said.append), mirror, said


def test_a_list_in_parts_is_taken_whole_and_then_every_change(tmp_path: Path) -> None:
    with api_that_says(
        tmp_path,
        listed("7", thing("a", "1", "3"), going_on="more of it"),
        listed("7", thing("b", "2", "4")),
        Said(
            [
                event("MODIFIED", thing("a", "9", "8")),
                event("DELETED", thing("b", "2", "9")),
                event("ADDED", thing("c", "3", "10")),
                event("BOOKMARK", {"metadata": {"resourceVersion": "12"}}),
            ]
        ),
        Said([]),
    ) as api:
        follower, mirror, _ = following(api)
        follower.once()
        assert mirror.items == {"default/a": "9", "default/c": "3"}
        follower.once()
    assert api.asked[:2] == ["/things?limit=250", "/things?limit=250&continue=more%20of%20it"]
    # A watch goes on where the last one ended, without a list.
    assert [path.rpartition("resourceVersion=")[2] for path in api.asked[2:]] == ["7", "12"]


def test_an_older_version_of_the_api_is_asked_where_the_newer_one_is_not_there(tmp_path: Path) -> None:
    with api_that_says(
        tmp_path, Said([], 404), listed("7", thing("a", "1", "3")), Said([]), listed("8"), Said([])
    ) as api:
        follower, mirror, _ = following(api, "/v1/things", "/v1beta1/things")
        follower.once()
        assert mirror.items == {"default/a": "1"}
    assert api.asked[1].startswith("/v1beta1/things?limit")
    assert api.asked[2].startswith("/v1beta1/things?watch")


@pytest.mark.parametrize("answer", [Said([], 410), Said([event("ERROR", {"code": 410, "message": "too old"})])])
def test_what_the_api_server_does_not_remember_is_listed_again(answer: Said, tmp_path: Path) -> None:
    with api_that_says(tmp_path, listed("7"), answer) as api:
        follower, _, _ = following(api)
        with pytest.raises(Expired):
            follower.once()


def test_a_list_that_expires_between_its_parts_is_begun_anew(tmp_path: Path) -> None:
    with api_that_says(tmp_path, listed("7", thing("a", "1", "3"), going_on="x"), Said([], 410)) as api:
        follower, mirror, _ = following(api)
        with pytest.raises(Expired):
            follower.once()
        assert not mirror.whole
        assert mirror.items == {}


def test_a_refusal_is_told_with_what_the_api_server_said(tmp_path: Path) -> None:
    with api_that_says(tmp_path, Said([b"things are forbidden"], 403)) as api:
        follower, mirror, _ = following(api)
        with pytest.raises(Unanswered, match="403: things are forbidden"):
            follower.once()
        assert not mirror.whole


@pytest.mark.parametrize(
    "answer",
    [
        Said([event("ADDED", thing("b", "2", "8")), b'{"type": "ADDED", "obj'], cut=True),
        Said([event("ADDED", thing("b", "2", "8")), b"no JSON\n"]),
        Said([event("ADDED", thing("b", "2", "8")), {"type": "ADDED"}]),
    ],
)
def test_a_watch_that_is_cut_keeps_what_came_before_and_goes_on_from_there(answer: Said, tmp_path: Path) -> None:
    with api_that_says(tmp_path, listed("7"), answer, Said([])) as api:
        follower, mirror, _ = following(api)
        with pytest.raises((http.client.HTTPException, ValueError, KeyError, OSError)):
            follower.once()
        assert mirror.items == {"default/b": "2"}
        follower.once()
    assert api.asked[-1].endswith("resourceVersion=8")


def test_a_watch_that_is_cut_between_two_events_has_ended(tmp_path: Path) -> None:
    with api_that_says(tmp_path, listed("7"), Said([event("ADDED", thing("b", "2", "8"))], cut=True)) as api:
        follower, mirror, _ = following(api)
        follower.once()
        assert mirror.items == {"default/b": "2"}


def test_an_object_that_no_one_understands_is_said_once_and_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    odd = thing("odd", "odd", "8")
    with api_that_says(tmp_path, listed("7", odd, thing("a", "1", "3")), Said([event("MODIFIED", odd)])) as api:
        follower, mirror, said = following(api)
        follower.once()
    assert mirror.items == {"default/a": "1"}
    assert said == ["things: an object can't be understood"]
