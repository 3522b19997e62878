"""What is other in the files of a node, as a diff; nothing of a secret one is read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bootstrap.engine.action import Action
from bootstrap.engine.changes import NEW, OTHER_CONTENT, Changes, FileChange
from bootstrap.engine.connections import Connections
from bootstrap.engine.plan import make_plan
from bootstrap.errors import ClusterupError
from bootstrap.operations.differences import MOST_LINES, differences
from bootstrap.operations.intent import Intent
from bootstrap.protocol.files import NodeFile
from tests.helpers.local_transport import LocalTransport


def shown(ours: dict[Path, bytes], changes: Changes, transport: Any = None) -> dict[str, tuple[str, ...]]:
    """The lines by path, where the node "s1" is this machine."""
    files = tuple(NodeFile(str(path), content) for path, content in ours.items())
    action: Action[Any] = Action(
        "s1/files", "s1", "files", "x", lambda _: "it has to be", lambda _: None, changes=lambda _: changes
    )
    intent = cast(Intent, SimpleNamespace(nodes={"s1": SimpleNamespace(files=files)}))
    plan: Any = make_plan([action], None)
    found = differences(plan, intent, Connections(lambda _: transport or LocalTransport()))
    return {path: lines for (_, path), lines in found.items()}


def other(*paths: Path, secret: bool = False) -> Changes:
    return Changes(files=tuple(FileChange(str(path), OTHER_CONTENT, secret) for path in paths))


def test_lines_that_are_other_are_shown_with_one_around_them(tmp_path: Path) -> None:
    path = tmp_path / "a file with blanks"
    path.write_text("one\ntwo\nthree\nfour\n")
    (lines,) = shown({path: b"one\ntwo\n3\nfour\n"}, other(path)).values()
    assert lines == ("@@ -2,3 +2,3 @@", " two", "-three", "+3", " four")


def test_several_files_are_read_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name}\n")
    found = shown({tmp_path / "a": b"A\n", tmp_path / "b": b"B\n"}, other(tmp_path / "a", tmp_path / "b"))
    assert [lines[1:] for lines in found.values()] == [("-a", "+A"), ("-b", "+B")]


def test_what_is_secret_or_new_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    assert shown({tmp_path / "key": b"another"}, other(tmp_path / "key", secret=True)) == {}
    assert shown({tmp_path / "new": b"x"}, Changes(files=(FileChange(str(tmp_path / "new"), NEW),))) == {}


def test_what_is_no_text_for_people_is_named_alone(tmp_path: Path) -> None:
    for name, before, after, said in (
        ("ca.crt", b"old", b"-----BEGIN CERTIFICATE-----\n", "(another certificate)"),
        ("image", b"\xff\x00", b"text", "(it is not text)"),
        ("same", b"text\n", b"text\n", "(the copy for the next boot is another one)"),
    ):
        (tmp_path / name).write_bytes(before)
        assert shown({tmp_path / name: after}, other(tmp_path / name)) == {str(tmp_path / name): (said,)}


def test_a_file_that_went_meanwhile_counts_as_empty(tmp_path: Path) -> None:
    (lines,) = shown({tmp_path / "gone": b"new\n"}, other(tmp_path / "gone")).values()
    assert lines[-1] == "+new"


def test_a_long_diff_is_cut(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("".join(f"{n}\n" for n in range(1000)))
    (lines,) = shown({tmp_path / "long": b""}, other(tmp_path / "long")).values()
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == f"({1000 + 1 - MOST_LINES} lines more)"


def test_a_node_that_does_not_answer_any_more_is_said(tmp_path: Path) -> None:
    class Silent(LocalTransport):
        def check(self, *_: Any, **__: Any) -> Any:
            raise ClusterupError("no answer", hint="look at it")

    assert shown({tmp_path / "a": b""}, other(tmp_path / "a"), Silent()) == {
        str(tmp_path / "a"): ("(it can't be read: no answer)",)
    }
