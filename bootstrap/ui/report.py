"""A run as one HTML page that needs nothing beside it: no script, no network, no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bootstrap.engine.history import CLUSTER, RunOutcome
from bootstrap.engine.timeline import Bar, Fate, Row, Timeline
from bootstrap.outside import in_lines
from bootstrap.paths import templates_dir
from bootstrap.ui.times import duration_in_words, local_time, on_the_axis

if TYPE_CHECKING:
    from jinja2 import Environment

# Where labels are chosen that fit, the plot is taken to be this wide, in CSS pixels.
PLOT_WIDTH = 900.0
LETTER_WIDTH = 6.3
# No bar is drawn narrower than this, in percent of the plot: what took no time can still be seen and touched.
LEAST_WIDTH = 0.35
MOST_TICKS = 10
# From so many machines on rows are low and carry no labels.
DENSE_ROWS = 30
LANE_PIXELS, DENSE_LANE_PIXELS = 24, 10
LEAST_ROW_PIXELS = 16
ROW_PADDING, DENSE_ROW_PADDING = 4, 1
# Seconds; a shorter wait is how long it takes to begin.
WAITED_LEAST = 0.1
MARK_PIXELS, HEADING_PIXELS = 13, 62
# Up to so many failures are shown opened; of more, the first of each kind.
OPEN_FAILURES = 4
TICK_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)

_FATE_WORDS = {
    Fate.DONE: "done in {}",
    Fate.FAILED: "FAILED after {}",
    Fate.RUNNING: "under way for {}",
    Fate.UNFINISHED: "cut off after {}",
    Fate.NOT_BEGUN: "not begun",
}
_FATE_CLASSES = {
    Fate.DONE: "done",
    Fate.FAILED: "failed",
    Fate.RUNNING: "open",
    Fate.UNFINISHED: "open",
    Fate.NOT_BEGUN: "never",
}


@dataclass(frozen=True, slots=True)
class DrawnBar:
    """A bar as it is drawn: `left` and `width` in percent of the plot, `label` is what fits into it."""

    bar: Bar
    anchor: str
    left: float
    width: float
    label: str
    critical: bool
    classes: str
    said: str

    @property
    def heard(self) -> str:
        """The bar for those who don't see it."""
        because = self.bar.error.problem if self.bar.error else self.bar.because and f"because of {self.bar.because}"
        return "; ".join(part for part in (f"{self.bar.step}: {self.bar.title}", self.said, because) if part)


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A node's row: `top` is the distance of its first lane from the plot's top, `height` its own, in CSS pixels."""

    row: Row
    top: float
    height: float
    places: tuple[DrawnBar, ...]
    not_begun: tuple[DrawnBar, ...]

    @property
    def failed(self) -> bool:
        return any(bar.fate is Fate.FAILED for bar in self.row.bars)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in the same way, on one node or more."""

    step: str
    title: str
    problem: str
    hint: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the time axis."""

    left: float
    label: str


def report_html(timeline: Timeline, *, cluster: str) -> str:
    """The page about the run. Everything that comes from the journal is escaped; characters that HTML does not allow
    (HTML Living Standard, 13.1), that turn a line around or that no one sees are shown as escapes."""
    dense = len(timeline.rows) >= DENSE_ROWS
    anchors = {bar.id: f"a{number}" for number, bar in enumerate(timeline.bars)}
    lines = tuple(_lines(timeline, anchors))
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            timeline=timeline,
            run=timeline.run,
            cluster=cluster,
            headline=headline(timeline),
            outcome=_outcome_class(timeline),
            machines=machines(timeline),
            dense=dense,
            lane=DENSE_LANE_PIXELS if dense else LANE_PIXELS,
            height=sum(line.height for line in lines),
            lines=lines,
            anchors=anchors,
            ticks=ticks(timeline.seconds),
            chain_path=chain_path(timeline, lines),
            notices=tuple(notices(timeline)),
            failures=failures(timeline),
            few=len(timeline.of(Fate.FAILED)) <= OPEN_FAILURES,
            causes=Counter(bar.because for bar in timeline.of(Fate.NOT_BEGUN)),
            names=min(24, max((len(row.node) for row in timeline.rows), default=0)),
            gutter=_gutter(timeline),
            waited=any(link.waited >= WAITED_LEAST for link in timeline.chain),
            fates=[(_FATE_CLASSES[fate], fate.value) for fate in Fate if timeline.of(fate)],
            said=said,
            duration_in_words=duration_in_words,
            on_the_axis=on_the_axis,
            local_time=local_time,
            waited_least=WAITED_LEAST,
        )
    )
    # Tabs mean nothing on a page but room.
    return "\t".join(map(in_lines, page.split("\t")))


def notices(timeline: Timeline) -> Iterator[str]:
    """What has to be known before the rest is read."""
    never = _plural(len(timeline.of(Fate.NOT_BEGUN)), "action")
    match timeline.run.outcome:
        case RunOutcome.SILENT:
            yield (
                "The run ended without a word: it was killed, or the machine that it ran on went off. "
                f"{never} had not begun. Apply again: it goes on from what is true by then."
            )
        case RunOutcome.INTERRUPTED:
            yield f"Ctrl-C was pressed. {never} had not begun. Apply again: it goes on from what is true by then."
        case RunOutcome.UNDER_WAY:
            yield "The run was under way when this page was made."
    if timeline.run.started is None:
        yield "The journal's line about the beginning of this run is missing: what was planned and why is not known."


def failures(timeline: Timeline) -> tuple[Failure, ...]:
    """The failures, those of one kind together. What a person stopped has not failed."""
    kinds: dict[tuple[str, str, str, str], list[Bar]] = {}
    for bar in timeline.bars:
        if bar.fate is Fate.FAILED and bar.error is not None:
            kinds.setdefault((bar.step, bar.title, bar.error.problem, bar.error.hint), []).append(bar)
    return tuple(Failure(*kind, tuple(bars)) for kind, bars in kinds.items())


def headline(timeline: Timeline) -> str:
    """What became of the run, in one sentence."""
    count = {fate: len(timeline.of(fate)) for fate in Fate}
    took = duration_in_words(timeline.run.seconds)
    if timeline.run.outcome is RunOutcome.DONE and count[Fate.DONE] == len(timeline.bars):
        return f"{_plural(len(timeline.bars), 'action')}, all done in {took}"
    parts = ", ".join(f"{count[fate]:,} {fate.value}" for fate in Fate if count[fate])
    return f"{parts}, after {took}"


def machines(timeline: Timeline) -> str:
    """How many machines the run was about."""
    return _plural(sum(row.node != CLUSTER for row in timeline.rows), "node")


def ticks(seconds: float) -> tuple[Tick, ...]:
    """The lines of a time axis that ends at `seconds`: whole numbers, not too many."""
    every = next((step for step in TICK_SECONDS if seconds / step <= MOST_TICKS), seconds / MOST_TICKS)
    count = int(seconds / every) if every else 0
    label = on_the_axis if every >= 1 else lambda at: f"{at:.1f} s"
    return tuple(Tick(100 * number * every / (seconds or 1), label(number * every)) for number in range(count + 1))


def placed(bars: Sequence[Bar], seconds: float) -> list[tuple[float, float]]:
    """Left edge and width of each bar of a row, in percent. None is narrower than can be seen, and none covers the one
    before it in its lane: after short ones a bar is drawn a little late, and ends where it should."""
    ends: dict[int, float] = {}
    edges = []
    for bar in bars:
        left = max(100 * bar.began / (seconds or 1), ends.get(bar.lane, 0.0))
        left = min(left, 100 - LEAST_WIDTH)
        right = max(100 * bar.ended / (seconds or 1), left + LEAST_WIDTH)
        ends[bar.lane] = right
        edges.append((left, right - left))
    return edges


def chain_path(timeline: Timeline, lines: Sequence[DrawnLine]) -> str:
    """The critical path as an SVG path between the middles of its bars: x in percent of the plot, y in CSS pixels."""
    lane = DENSE_LANE_PIXELS if len(lines) >= DENSE_ROWS else LANE_PIXELS
    middle = {
        place.bar.id: (place, line.top + lane * (place.bar.lane + 0.5)) for line in lines for place in line.places
    }
    steps = pairwise(middle[link.bar.id] for link in timeline.chain)
    return "".join(
        f"M{place.left + place.width:.2f} {y:.1f}V{below:.1f}H{following.left:.2f}"
        for (place, y), (following, below) in steps
    )


def said(bar: Bar) -> str:
    """What became of an action and when: "done in 12.3 s, from 0:07 to 0:20"."""
    words = _FATE_WORDS[bar.fate].format(duration_in_words(bar.seconds))
    if not bar.ran:
        return words
    since = f"{words}, from {on_the_axis(bar.began)}"
    return since if bar.fate is Fate.RUNNING else f"{since} to {on_the_axis(bar.ended)}"


def _lines(timeline: Timeline, anchors: dict[str, str]) -> Iterator[DrawnLine]:
    dense = len(timeline.rows) >= DENSE_ROWS
    lane, padding = (DENSE_LANE_PIXELS, DENSE_ROW_PADDING) if dense else (LANE_PIXELS, ROW_PADDING)
    critical = {link.bar.id for link in timeline.chain}
    top = 0.0
    for row in timeline.rows:
        edges = placed(row.bars, timeline.seconds)
        places = tuple(
            DrawnBar(
                bar,
                anchors[bar.id],
                left,
                width,
                "" if dense else _label(bar, width),
                bar.id in critical,
                _classes(bar, bar.id in critical, left),
                said(bar),
            )
            for bar, (left, width) in zip(row.bars, edges, strict=True)
        )
        never = tuple(
            DrawnBar(bar, anchors[bar.id], 0, 0, "", False, _classes(bar, False, 100.0), said(bar))
            for bar in row.not_begun
        )
        height = max(lane * row.lanes + 2 * padding, LEAST_ROW_PIXELS)
        yield DrawnLine(row, top + padding, height, places, never)
        top += height


def _gutter(timeline: Timeline) -> int:
    """How wide the column is, in CSS pixels, where a mark stands for each action that was not begun."""
    most = max((len(row.not_begun) for row in timeline.rows), default=0)
    return max(MARK_PIXELS * most, HEADING_PIXELS) if most else 0


def _label(bar: Bar, width: float) -> str:
    room = width / 100 * PLOT_WIDTH - 12
    return next((text for text in (bar.title, bar.step) if len(text) * LETTER_WIDTH <= room), "")


def _classes(bar: Bar, critical: bool, left: float) -> str:
    # What is said about a bar in the right half opens to its left, so that it stays on the page.
    names = (_FATE_CLASSES[bar.fate], "crit" if critical else "", "end" if left > 55 else "")
    return " ".join(name for name in names if name)


def _outcome_class(timeline: Timeline) -> str:
    match timeline.run.outcome:
        case RunOutcome.DONE:
            return "done"
        case RunOutcome.UNDER_WAY:
            return "going"
        case RunOutcome.INTERRUPTED | RunOutcome.SILENT:
            return "open"
    return "failed"


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(templates_dir() / "report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
