"""A plan that can be reviewed: which files, what starts again and what that interrupts, and last the disks."""

from __future__ import annotations

from bootstrap.engine.action import Action
from bootstrap.engine.changes import (
    DELETED,
    NEW,
    OTHER_CONTENT,
    OTHER_MODE,
    REFUSED,
    RESTARTS,
    STARTS,
    STAYS,
    Changes,
    FileChange,
    ObjectChange,
    UnitChange,
)
from bootstrap.engine.plan import Plan, make_plan, plan_as_data
from bootstrap.ui.review import MOST_FILES, counted, plan_lines


def action(name: str, node: str | None, *, changes: Changes = Changes(), erases: str = "") -> Action[None]:  # noqa: B008
    return Action(
        f"{node or 'cluster'}/{name}",
        node,
        name,
        f"do {name}",
        lambda _: "it has to be",
        lambda _: None,
        erases=erases,
        changes=lambda _: changes,
    )


def lines(*actions: Action[None]) -> list[str]:
    return list(plan_lines(plan(*actions)))


def plan(*actions: Action[None]) -> Plan[None]:
    return make_plan(actions, None)


FILES = Changes(
    files=(
        FileChange("/etc/a", NEW),
        FileChange("/etc/b", OTHER_CONTENT),
        FileChange("/etc/key", OTHER_CONTENT, secret=True),
        FileChange("/etc/mode", OTHER_MODE),
    )
)
UNITS = Changes(
    units=(
        UnitChange("etcd.service", RESTARTS, "the other members keep the quorum"),
        UnitChange("new.service", STARTS),
        UnitChange("quiet.service", RESTARTS),
    )
)


def test_files_are_named_one_by_one() -> None:
    assert lines(action("files", "s1", changes=FILES)) == [
        "s1",
        "  files: do files",
        "      because it has to be",
        "        + /etc/a (new)",
        "        ~ /etc/b (other content)",
        "        ~ /etc/key (other content) (secret: its content is not shown)",
        "        = /etc/mode (other mode)",
        "1 action on 1 machine",
    ]


def test_what_is_other_in_a_file_stands_below_it() -> None:
    shown = list(
        plan_lines(plan(action("files", "s1", changes=FILES)), diffs={("s1", "/etc/b"): ("-old", "+new\x1b[2J")})
    )
    at = shown.index("        ~ /etc/b (other content)")
    assert shown[at + 1 : at + 3] == ["          -old", "          +new\\x1b[2J"]


def test_many_files_are_counted() -> None:
    many = Changes(files=tuple(FileChange(f"/etc/{n}", NEW) for n in range(MOST_FILES + 2)))
    assert "        and 2 more" in lines(action("files", "s1", changes=many))


def test_restarts_stand_in_their_order_with_what_they_interrupt() -> None:
    shown = lines(action("etcd", "s2", changes=UNITS), action("etcd", "s1", changes=UNITS))
    first = "restarts (servers one after the other, in this order; agents at the same time):"
    assert shown[shown.index(first) :] == [
        first,
        "  s2",
        "    etcd (the other members keep the quorum)",
        "    quiet",
        "  s1",
        "    etcd (the other members keep the quorum)",
        "    quiet",
        "2 actions on 2 machines",
    ]


def test_disks_that_are_erased_stand_last_and_once() -> None:
    disk = "/dev/vda (8.0 GiB, empty)"
    shown = lines(action("image", "s1", erases=disk), action("configuration", "s1", erases=disk), action("join", "s2"))
    assert shown[-3:] == ["3 actions on 2 machines", "disks that are erased:", f"  s1: {disk}"]


def test_machines_are_counted_without_the_cluster() -> None:
    assert counted(plan(action("a", "s1"), action("b", "s1"), action("c", None))) == (
        "2 actions on 1 machine, and 1 for the cluster as a whole"
    )
    assert counted(plan(action("c", None))) == "1 action for the cluster as a whole"
    assert counted(plan(*(action("a", f"s{n}") for n in range(3)))) == "3 actions on 3 machines"


def test_machines_read_the_same_as_data() -> None:
    (found,) = plan_as_data(plan(action("files", "s1", changes=FILES, erases="/dev/vda")))
    assert found["erases"] == "/dev/vda"
    assert found["files"][2] == {"path": "/etc/key", "change": "other content", "secret": True}
    (found,) = plan_as_data(plan(action("etcd", "s1", changes=UNITS)))
    assert found["units"][0] == {
        "unit": "etcd.service",
        "does": "restarts",
        "interrupts": "the other members keep the quorum",
    }


def test_objects_are_named_with_what_is_other_in_them_and_why_they_stay() -> None:
    changes = Changes(
        objects=(
            ObjectChange("Namespace/shop", NEW),
            ObjectChange("Deployment/shop/web", OTHER_CONTENT, ("spec.replicas: 2 -> 3",)),
            ObjectChange("ConfigMap/shop/old", DELETED),
            ObjectChange("Namespace/old", STAYS, why="others would go with it: Pod/old/a"),
            ObjectChange("Pod/shop/b\x1b[2J", REFUSED, why="409: helm has it"),
        )
    )
    assert lines(action("manifests.1", None, changes=changes))[3:-1] == [
        "        + Namespace/shop (new)",
        "        ~ Deployment/shop/web (other content)",
        "          spec.replicas: 2 -> 3",
        "        - ConfigMap/shop/old (deleted)",
        "        = Namespace/old (stays: others would go with it: Pod/old/a)",
        "        ! Pod/shop/b\\x1b[2J (refused: 409: helm has it)",
    ]


def test_many_objects_and_many_values_are_counted() -> None:
    many = ObjectChange("ConfigMap/a", OTHER_CONTENT, tuple(f"data.{n}: 1 -> 2" for n in range(25)))
    objects = (many, *(ObjectChange(f"ConfigMap/b{n}", NEW) for n in range(45)))
    found = lines(action("manifests.1", None, changes=Changes(objects=objects)))
    assert "          and 5 more" in found
    assert "        and 6 more" in found
