"""What would become other in an object is said a line a value."""

from __future__ import annotations

from bootstrap.manifests.differences import differences, laid_over


def test_values_are_named_by_their_way_in_the_object() -> None:
    before = {"kind": "Deployment", "metadata": {"name": "a", "labels": {"app.x/b": "1"}}, "spec": {"replicas": 2}}
    after = {"kind": "Deployment", "metadata": {"name": "a", "labels": {"app.x/b": "2"}}, "spec": {"paused": True}}
    assert differences(before, after) == (
        'metadata.labels."app.x/b": "1" -> "2"',
        "spec.paused: nothing -> true",
        "spec.replicas: 2 -> nothing",
    )


def test_entries_of_a_list_are_told_apart_by_their_names() -> None:
    before = {"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}]}}
    after = {"spec": {"containers": [{"name": "a", "image": "x:2"}, {"name": "c", "image": "z"}]}}
    assert differences(before, after) == (
        'spec.containers[a].image: "x:1" -> "x:2"',
        'spec.containers[b]: {"image": "y", "name": "b"} -> nothing',
        'spec.containers[c]: nothing -> {"image": "z", "name": "c"}',
    )


def test_another_order_and_a_list_of_plain_values_are_said() -> None:
    pair = [{"name": "a"}, {"name": "b"}]
    assert differences({"spec": pair}, {"spec": pair[::-1]}) == ("spec: another order",)
    assert differences({"args": [1, 2]}, {"args": [2]}) == ("args: [1, 2] -> [2]",)


def test_what_the_api_server_writes_by_itself_is_no_difference() -> None:
    before = {"metadata": {"name": "a", "generation": 1, "managedFields": [1]}, "status": {"a": 1}}
    assert differences(before, {"metadata": {"name": "a", "generation": 2}, "status": {}}) == ()


def test_nothing_of_a_secret_s_values_is_shown() -> None:
    kept = "kubectl.kubernetes.io/last-applied-configuration"
    before = {
        "kind": "Secret",
        "type": "a",
        "data": {"password": "aHVudGVy"},
        "metadata": {"name": "a", "annotations": {kept: '{"stringData":{"password":"hunter"}}'}},
    }
    after = {"kind": "Secret", "type": "b", "data": {"password": "MTIz", "more": "NDU2"}, "metadata": {"name": "a"}}
    assert differences(before, after) == (
        "data.more: another value (secret: it is not shown)",
        "data.password: another value (secret: it is not shown)",
        "metadata.annotations: another value (secret: it is not shown)",
        'type: "a" -> "b"',
    )
    assert "aHVudGVy" not in "".join(differences(before, {**after, "data": None}))


def test_long_values_are_cut_and_control_characters_are_shown_safe() -> None:
    (line,) = differences({"a": "x"}, {"a": "y" * 500 + "\x1b[31m"})
    assert len(line) < 120
    assert "\x1b" not in differences({"a": "x"}, {"a": "\x1b[31m"})[0]


def test_what_nobody_can_say_beforehand_is_what_is_wanted_over_what_is_there() -> None:
    found = {"spec": {"a": 1, "b": [1]}, "status": {"c": 1}}
    assert laid_over(found, {"spec": {"b": [2]}}) == {"spec": {"a": 1, "b": [2]}, "status": {"c": 1}}
