"""The page that is drawn of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.engine.events import Event, RunEnded, RunStarted
from bootstrap.engine.history import Run
from bootstrap.engine.timeline import Bar, Fate, in_lanes, make_timeline
from bootstrap.errors import ClusterupError, Interrupted
from bootstrap.ui.report import LEAST_WIDTH, placed, report_html, ticks
from bootstrap.ui.times import duration_in_words, on_the_axis
from tests.helpers.journals import BEGAN, began, done, ended, failed, planned, skipped, started

# Attributes by which an element fetches something or leads somewhere.
OUTWARD = {"src", "srcset", "href", "data", "action", "formaction", "poster", "background", "ping", "cite", "manifest"}
# Elements that HTML lets stand alone.
VOID = {"meta", "link", "br", "hr", "img", "input"}
EVIL = "<script>alert(1)</script>\"'&"


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    classes: set[str] = field(default_factory=set)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)


class Page(HTMLParser):
    """All elements of a page in order, with the text inside; every one has to be closed where it has to be."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes, classes=set(attributes.get("class", "").split()))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.parts.append(data)

    def all(self, tag: str, *classes: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag and element.classes >= set(classes)]

    @property
    def bars(self) -> list[Element]:
        return [element for element in self.all("li") if "id" in element.attributes]

    @property
    def text(self) -> str:
        return " ".join(self.all("body")[0].text.split())


def html(*events: Event, under_way: bool = False) -> str:
    first = next((event for event in events if isinstance(event, RunStarted)), None)
    last = next((event for event in events if isinstance(event, RunEnded)), None)
    run = Run("r1", BEGAN, max(event.time for event in events), first, last, under_way)
    return report_html(make_timeline(run, events), cluster="lab")


def three_nodes() -> list[Event]:
    """s1 is done, s2 fails, and what comes after it on s2 is not begun."""
    plan = [
        planned("s1/install", title="write the image to /dev/vda", why="it runs another system", by="lab.yaml:7:5"),
        planned("s1/boot", "s1/install"),
        planned("s2/install"),
        planned("s2/boot", "s2/install"),
        planned("s2/join", "s2/boot"),
        planned("cluster/objects", "s1/boot"),
    ]
    error = ClusterupError(
        "it did not come back", node="s2", step="boot", tried="SSH every 2 s", got="refused", hint="look at its console"
    )
    return [
        started(plan),
        *done(plan[0], 0, 100),
        *done(plan[1], 100, 190),
        *done(plan[2], 0, 90),
        *failed(plan[3], 90, 120, error),
        skipped(plan[4], 120, "s2/boot"),
        *done(plan[5], 190, 200),
        ended(200, exit_code=3),
    ]


def many_nodes(count: int) -> list[Event]:
    """`count` nodes with twelve actions each."""
    plan = [
        planned(f"node-{node}/step{number}", *([f"node-{node}/step{number - 1}"] if number else []))
        for node in range(count)
        for number in range(12)
    ]
    return [
        started(plan),
        *(
            event
            for number, action in enumerate(plan)
            for event in done(action, 40.0 * (number % 12) + number / 100, 40.0 * (number % 12) + 35 + number / 100)
        ),
        ended(600),
    ]


def test_every_action_is_a_bar_that_can_be_focused_and_heard() -> None:
    page = Page(html(*three_nodes()))
    assert len(page.bars) == 6
    assert {bar.attributes["tabindex"] for bar in page.bars} == {"0"}
    heard = [bar.attributes["aria-label"] for bar in page.bars]
    assert heard[0] == "install: write the image to /dev/vda; done in 1 min 40 s, from 0:00 to 1:40"
    assert "boot: do boot; FAILED after 30.0 s, from 1:30 to 2:00; it did not come back" in heard
    assert "join: do join; not begun; because of s2/boot" in heard


def test_outcomes_and_the_critical_path_are_marked() -> None:
    bars = Page(html(*three_nodes())).bars
    drawn = {bar.attributes["aria-label"].partition(";")[0]: bar.classes - {"end"} for bar in bars}
    assert drawn["install: write the image to /dev/vda"] == {"done", "crit"}
    assert drawn["install: do install"] == {"done"}
    assert drawn["join: do join"] == {"never"}
    assert [bar.classes - {"end"} for bar in bars if "FAILED" in bar.attributes["aria-label"]] == [{"failed"}]


def test_a_bar_tells_what_it_was_there_for() -> None:
    (tip,) = [tip for tip in Page(html(*three_nodes())).all("div", "tip") if "write the image" in tip.text]
    assert "because it runs another system (lab.yaml:7:5)" in tip.text
    assert "done in 1 min 40 s, from 0:00 to 1:40 · critical path" in tip.text


def test_a_bar_stands_where_its_time_is() -> None:
    styles = [bar.attributes.get("style") for bar in Page(html(*three_nodes())).bars]
    assert styles[0] == "left:0.00%;width:50.00%"
    assert "left:45.00%;width:15.00%" in styles


def test_failures_are_there_in_full_with_what_to_do_next() -> None:
    page = Page(html(*three_nodes()))
    (failure,) = page.all("article")
    words = " ".join(failure.text.split())
    assert words.startswith("it did not come back boot: do boot Next: look at its console s2 FAILED after 30.0 s")
    assert "1 not begun because of it" in words
    assert [output.text for output in page.all("pre")] == ["SSH every 2 s", "refused"]


def test_the_same_failure_of_many_nodes_is_one_with_all_nodes_in_it() -> None:
    plan = [planned(f"s{number}/boot") for number in range(20)]
    events = [
        event
        for number, action in enumerate(plan)
        for event in failed(action, 0, 1, ClusterupError("no answer", got=f"refused by s{number}", hint="look"))
    ]
    page = Page(html(started(plan), *events, ended(1, exit_code=1)))
    (failure,) = page.all("article")
    assert "on 20 nodes" in failure.text
    assert all(f"refused by s{number}" in failure.text for number in range(20))
    opened = [details for details in page.all("details") if "open" in details.attributes]
    assert len(opened) == 1


def test_what_a_person_stopped_is_cut_off_and_did_not_go_wrong() -> None:
    plan = [planned("s1/boot"), planned("s1/join", "s1/boot")]
    stopped = Interrupted("stopped while waiting for s1", hint="apply again")
    events = [*failed(plan[0], 0, 5, stopped), skipped(plan[1], 5, "interrupted")]
    page = Page(html(started(plan), *events, ended(5, exit_code=130)))
    assert "What went wrong" not in page.text
    assert page.all("h1")[0].text == "1 unfinished, 1 not begun, after 5.0 s"
    assert [bar.classes & {"done", "failed", "open", "never"} for bar in page.bars] == [{"open"}, {"never"}]
    assert "cut off after 5.0 s" in page.bars[0].attributes["aria-label"]


def test_what_runs_now_has_no_end_yet() -> None:
    action = planned("s1/boot")
    page = Page(html(started([action]), began(action, 5), under_way=True))
    assert page.bars[0].attributes["aria-label"] == "boot: do boot; under way for 0.00 s, from 0:05"


def test_nodes_that_were_not_reached_are_told() -> None:
    plan = [planned("s1/boot")]
    page = Page(html(started(plan, unreachable={"s9": "s9: no route\n  next: is it on?"}), *done(plan[0], 0, 1)))
    assert "Not reached: s9" in page.text
    assert "next: is it on?" in page.text


def test_what_happened_is_said_first() -> None:
    plan = [planned("s1/boot"), planned("s2/boot")]
    good = (*done(plan[0], 0, 1), *done(plan[1], 0, 61))
    assert Page(html(started(plan), *good, ended(61))).all("h1")[0].text == "2 actions, all done in 1 min 01 s"
    assert Page(html(*three_nodes())).all("h1")[0].text == "4 done, 1 failed, 1 not begun, after 3 min 20 s"
    assert Page(html(started(plan), *good)).all("h1")[0].text == "2 done, after 1 min 01 s"
    killed = Page(html(started(plan), *done(plan[0], 0, 1))).text
    assert "ended without a word (killed, or the machine went off)" in killed
    assert "1 action had not begun. Apply again" in killed
    now = Page(html(started(plan), *good[:3], under_way=True)).text
    assert "The run was under way when this page was made." in now
    stopped = Page(html(started(plan), skipped(plan[0], 1, "interrupted"), ended(1, exit_code=130))).text
    assert "Ctrl-C was pressed. 2 actions had not begun." in stopped
    headless = Page(html(*good)).text
    assert "what was planned and why is not known" in headless


def evil_run() -> list[Event]:
    plan = [
        {**planned(f"{EVIL}/{EVIL}", title=EVIL, why=EVIL), "node": EVIL},
        {**planned(f"{EVIL}/2", EVIL, title=EVIL), "node": EVIL},
        {**planned(f"{EVIL}/3", title=EVIL), "node": EVIL},
    ]
    error = ClusterupError(EVIL, node=EVIL, step=EVIL, tried=EVIL, got=EVIL, hint=EVIL)
    beginning = started(plan, command=EVIL, operator=EVIL, version=EVIL, unreachable={EVIL: EVIL})
    return [
        beginning,
        *done(plan[0], 0, 1),
        *failed(plan[1], 1, 2, error),
        skipped(plan[2], 2, EVIL),
        ended(2, exit_code=3),
    ]


def test_nothing_from_the_journal_becomes_part_of_the_page() -> None:
    written = html(*evil_run())
    page = Page(written)
    assert "<script" not in written
    assert "alert(1)" in page.text
    assert page.all("h3")[0].text == EVIL
    harmless = {name for element in Page(html(*three_nodes())).elements for name in element.attributes}
    assert {name for element in page.elements for name in element.attributes} <= harmless
    assert EVIL in page.bars[0].attributes["aria-label"]


def test_what_no_page_may_hold_is_shown_as_an_escape() -> None:
    plan = [planned("s1/boot")]
    error = ClusterupError("it broke", got="\x1b[31mred\x1b[0m \x00 \udce4\n\tä\u202e", hint="fix it")
    written = html(started(plan), *failed(plan[0], 0, 1, error), ended(1, exit_code=1))
    assert written.encode()
    assert not re.search(r"[\x00-\x08\x0e-\x1f\u202e]", written)
    (output,) = Page(written).all("pre")
    assert output.text == r"\x1b[31mred\x1b[0m \x00 \udce4" + "\n\tä" + r"\u202e"


@pytest.mark.parametrize("events", [three_nodes(), many_nodes(40), evil_run()], ids=["three", "many", "evil"])
def test_the_page_needs_nothing_beside_it(events: Sequence[Event]) -> None:
    written = html(*events)
    page = Page(written)
    assert written.startswith("<!DOCTYPE html>\n<html")
    assert {element.tag for element in page.elements} & {"script", "link", "img", "iframe", "object", "embed"} == set()
    assert not [name for element in page.elements for name in element.attributes if name.startswith("on")]
    led = {element.attributes[name] for element in page.elements for name in OUTWARD & element.attributes.keys()}
    assert {target[:1] for target in led} <= {"#"}
    assert not re.search(r"url\(|@import|https?:", written)
    (policy,) = [meta for meta in page.all("meta") if meta.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'"


@pytest.mark.parametrize("events", [three_nodes(), many_nodes(40)], ids=["three", "many"])
def test_every_link_leads_somewhere_and_every_id_is_one_element_s(events: Sequence[Event]) -> None:
    page = Page(html(*events))
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    targets = [link.attributes["href"] for link in page.all("a")]
    assert targets
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    named = {
        element.attributes[name]
        for element in page.elements
        for name in ("aria-labelledby",)
        if name in element.attributes
    }
    assert named <= set(ids)


def test_light_dark_and_print_are_all_thought_of() -> None:
    style = Page(html(*three_nodes())).all("style")[0].text
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert set(re.findall(r"var\((--[a-z-]+)", style)) - {"--at", "--names", "--lane", "--gutter"} <= set(
        re.findall(r"(--[a-z-]+):", style)
    )


def test_three_hundred_nodes_are_low_rows_in_a_page_that_can_be_mailed() -> None:
    written = html(*many_nodes(300))
    page = Page(written)
    assert len(page.bars) == 3600
    assert "dense" in page.all("body")[0].classes
    assert len(page.all("div", "row")) == 300
    assert not [span for span in page.all("span") if span.text.startswith(("do ", "step"))]
    assert len(written) < 3_000_000


def test_all_actions_are_in_a_table_too() -> None:
    page = Page(html(*three_nodes()))
    assert "All 6 actions as a table" in page.text
    assert len([row for row in page.all("tr") if row.text.startswith(("s1", "s2", "cluster"))]) == 6 + 3


def test_a_run_in_which_nothing_had_begun_can_be_drawn() -> None:
    page = Page(html(started([planned("s1/boot")])))
    assert [bar.classes - {"end"} for bar in page.bars] == [{"never"}]
    assert "0.00 s" in page.all("h1")[0].text
    assert Page(html(began(planned("s1/boot"), 0))).bars


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), max_size=30))
def test_bars_are_never_too_narrow_never_off_the_plot_and_never_cover_each_other(
    spans: list[tuple[float, float]],
) -> None:
    bars = in_lanes(
        Bar(f"s1/{number}", "s1", "a", "a", fate=Fate.DONE, began=start, ended=start + long)
        for number, (start, long) in enumerate(spans)
    )
    edges = placed(bars, 110.0)
    ends: dict[int, float] = {}
    for bar, (left, width) in zip(bars, edges, strict=True):
        assert width >= LEAST_WIDTH - 1e-9
        assert 0 <= left <= 100
        # At the very end there is no room left to give way to.
        assert left >= ends.get(bar.lane, 0.0) - 1e-9 or left >= 100 - LEAST_WIDTH - 1e-9
        ends[bar.lane] = left + width


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.0, ["0.0 s"]),
        (0.9, ["0.0 s", "0.1 s", "0.2 s"]),
        (12.0, ["0:00", "0:02", "0:04"]),
        (505.0, ["0:00", "1:00", "2:00"]),
        (8000.0, ["0:00", "15:00", "30:00"]),
    ],
)
def test_the_axis_has_whole_numbers_and_few_of_them(seconds: float, labels: list[str]) -> None:
    found = ticks(seconds)
    assert [tick.label for tick in found][:3] == labels
    assert len(found) <= 11
    assert all(0 <= tick.left <= 100 for tick in found)


def test_durations_are_words_and_times_are_clocks() -> None:
    shown = [duration_in_words(seconds) for seconds in (0.021, 0.996, 9.94, 9.96, 59.94, 59.96, 501, 3599.6, 7500)]
    assert shown == [
        "0.02 s",
        "1.0 s",
        "9.9 s",
        "10.0 s",
        "59.9 s",
        "1 min 00 s",
        "8 min 21 s",
        "1 h 00 min",
        "2 h 05 min",
    ]
    assert [on_the_axis(seconds) for seconds in (7.9, 501, 3725)] == ["0:07", "8:21", "1:02:05"]
