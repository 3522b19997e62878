"""Files of Kubernetes objects are read as Kubernetes' own tools read them, and what can't be applied is said with its
place."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.errors import BadUse
from bootstrap.manifests.documents import LONGEST, objects_in

WEB = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: web }\n"


def only(text: str) -> dict[str, Any]:
    """The one object of a file."""
    (found,) = objects_in(text.encode(), "web.yaml")
    return found.manifest


def refused(text: str | bytes) -> BadUse:
    with pytest.raises(BadUse) as caught:
        list(objects_in(text.encode() if isinstance(text, str) else text, "web.yaml"))
    return caught.value


def test_several_objects_of_a_file_are_known_by_their_lines_and_empty_ones_are_none() -> None:
    text = f"# of the shop\n---\n{WEB}---\n---\n# nothing\n---\n{WEB.replace('web', 'shop')}"
    found = list(objects_in(text.encode(), "web.yaml"))
    assert [(each.place, each.manifest["metadata"]["name"]) for each in found] == [
        ("web.yaml:3", "web"),
        ("web.yaml:10", "shop"),
    ]


def test_the_objects_of_a_list_are_taken_one_by_one() -> None:
    text = 'apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: "a"}}\n'
    assert [each.manifest["kind"] for each in objects_in(text.encode(), "web.yaml")] == ["Secret"]


def test_json_may_have_tabs() -> None:
    assert only('{\n\t"apiVersion": "v1",\n\t"kind": "ConfigMap",\n\t"metadata": {\n\t\t"name": "web"\n\t}\n}\n') == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "web"},
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-12-01", "2026-12-01"),
        ("2026-12-01T10:00:00Z", "2026-12-01T10:00:00Z"),
        ("12:30", "12:30"),
        ("1:30.5", "1:30.5"),
        ("=", "="),
        ("1.20.2", "1.20.2"),
        ("0644", 0o644),
        ("1.5", 1.5),
        ("-3", -3),
        ("0x1f", 31),
        ("100m", "100m"),
        ("1e3", "1e3"),
        ("yes", True),
        ("~", None),
        ("'5'", "5"),
        ('"\\u00e9"', "é"),
    ],
)
def test_a_value_is_what_kubernetes_takes_it_for(written: str, read: object) -> None:
    assert only(f"{WEB}data: {{ value: {written} }}\n")["data"]["value"] == read


def test_what_is_said_once_and_merged_is_whole() -> None:
    text = f"{WEB}data:\n  one: &one {{ a: 1, b: 2 }}\n  two:\n    <<: *one\n    b: 3\n"
    assert only(text)["data"]["two"] == {"a": 1, "b": 3}


def test_a_mark_that_an_editor_wrote_in_front_is_no_part_of_it() -> None:
    assert only("\ufeff" + WEB)["kind"] == "ConfigMap"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (f"{WEB}data: {{ a: [1, 2 }}\n", "web.yaml:4", "did not find expected ',' or ']'"),
        (f"{WEB}data:\n  a: 1\n  b: 2\n  a: 3\n", "web.yaml:7", "the key 'a' stands twice"),
        ('{"apiVersion": "v1", "kind": "A", "kind": "B"}', "web.yaml:1", "the key 'kind' stands twice"),
        ("{{ if .Values.web }}\n", "web.yaml:1", "unhashable"),
        ("just a text\n", "web.yaml:1", "this is no object, but text"),
        ("- a\n", "web.yaml:1", "this is no object, but a list"),
        ("kind: ConfigMap\n", "web.yaml:1", "the object has no apiVersion"),
        (f"{WEB}---\napiVersion: v1\n", "web.yaml:5", "the object has no kind"),
        ("apiVersion: v1\nkind: Pod\nmetadata: { generateName: a- }\n", "web.yaml:1", "the Pod has no metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: 5 }\n", "web.yaml:1", "Pod/a is no text"),
        (f"{WEB}data: {{ 5: a }}\n", "web.yaml:1", "the key 5 is no text"),
        (f"{WEB}data: {{ a: .nan }}\n", "web.yaml:1", "nan is no number that JSON has"),
        (f"{WEB}data: {{ a: !!binary aGVsbG8= }}\n", "web.yaml:1", "bytes is nothing that JSON has"),
        (f"{WEB}data: !!python/object:os.system {{}}\n", "web.yaml:4", "could not determine a constructor"),
        (f"{WEB}data: " + "[" * 300 + "]" * 300, "web.yaml", "nested too deep"),
    ],
)
def test_what_can_t_be_applied_is_said_with_its_line(text: str, place: str, said: str) -> None:
    error = refused(text)
    assert error.problem.startswith(place)
    assert said in (error.got or "")


def test_aliases_that_stand_for_billions_are_no_object() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{each}: &a{each} [{', '.join([f'*a{each - 1}'] * 10)}]" for each in range(1, 12)]
    assert "it stands for too much" in (refused(WEB + "\n".join(lines)).got or "")


def test_what_is_no_text_and_what_is_too_long_is_said() -> None:
    assert refused(b"a: \xff").got == "byte 3 is not UTF-8"
    assert "longer than 32 MiB" in (refused(b" " * (LONGEST + 1)).got or "")


def test_what_a_file_says_reaches_a_terminal_as_it_is_shown_safe() -> None:
    assert "\x1b" not in str(refused('apiVersion: v1\nkind: "Pod\\e[31m"\nmetadata: {}\n'))


def test_a_port_of_a_service_names_its_protocol_which_older_api_servers_want_to_read() -> None:
    text = (
        "apiVersion: v1\nkind: Service\nmetadata: { name: web }\n"
        "spec: { ports: [{ port: 80 }, { port: 53, protocol: UDP }] }\n"
    )
    assert only(text)["spec"]["ports"] == [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    assert only(f"{WEB}spec: {{ ports: [{{ port: 80 }}] }}\n")["spec"] == {"ports": [{"port": 80}]}
