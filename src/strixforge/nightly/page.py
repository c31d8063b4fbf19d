"""The feed as one page of HTML that needs nothing else: no script, no font, no network.

The names of releases come from an index, and a cause may hold what a compiler printed: all text is
escaped, and what has no shape of its own, such as control characters, is shown as its code.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import jinja2
from markupsafe import Markup

from strixforge.model.sizes import size_text
from strixforge.nightly.feed import Entry, Outcome

_LAST = 30
"""Candidates of the strip."""
_MOST_LETTERS = 160
"""Of the first line of a cause; the whole is behind it."""
_WIDTH, _HEIGHT = 320, 110
"""Of a plot, in units of its own; the page scales it."""
_EDGE = 6
"""Between a plot's sides and its first and last point."""
_MARKS: dict[Outcome, str] = {
    "promoted": "✓",
    "quarantined": "✗",
    "refused": "⊘",
    "postponed": "…",
    "rolled back": "↩",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One component's version, before and now; empty where there is none."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Row:
    """One entry, and what was promoted when it was written."""

    number: int
    """From 1, the oldest; the row's anchor."""
    entry: Entry
    changes: tuple[Change, ...]
    """What its pins changed; for what was rolled back, what changed back."""

    @property
    def changed(self) -> set[str]:
        """The names of the changed components."""
        return {one.name for one in self.changes}

    @property
    def first_line(self) -> str:
        """What the cause begins with."""
        what = self.entry.cause.what if self.entry.cause else ""
        return clipped(what.strip().partition("\n")[0])

    @property
    def has_more(self) -> bool:
        """Whether the first line is not the whole cause."""
        return self.entry.cause is not None and self.entry.cause.what.strip() != self.first_line


@dataclass(frozen=True, slots=True)
class Now:
    """What is promoted now."""

    night: str
    since: str
    """Empty where the feed does not know it."""
    row: Row | None
    """The entry of its promotion."""


@dataclass(frozen=True, slots=True)
class Point:
    """One entry in a plot."""

    x: float
    y: float
    verdict: Outcome
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure over time."""

    words: str
    is_bars: bool
    points: tuple[Point, ...]
    most: str
    least: str
    first: str
    last: str


def page(entries: Sequence[Entry], stack: str, arch: str, promoted: str) -> str:
    """Return the page of a feed, and of the night that is promoted, or "" where none is.

    The same entries make the same bytes.
    """
    template = Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    environment.filters |= {
        "clipped": clipped,
        "duration": duration,
        "minute": minute,
        "size": size_text,
    }
    rows, current, since = _followed(entries)
    if current is None or current.entry.night != promoted:
        current = _promotion(rows, promoted)
        since = current.entry.time if current else ""
    last = _last_of_each(rows)
    return environment.from_string(template).render(
        stack=stack,
        arch=arch,
        now=Now(promoted, since, current) if promoted else None,
        last=last,
        counts=_counts(last),
        marks=_MARKS,
        plots=[one for one in _plots(entries) if one.points],
        width=_WIDTH,
        height=_HEIGHT,
        rows=rows[::-1],
    )


def _followed(entries: Iterable[Entry]) -> tuple[list[Row], Row | None, str]:
    """Go through the feed. Returns its rows, the row promoted at its end, and since when it is."""
    rows: list[Row] = []
    now: Row | None = None
    since = ""
    before: dict[int, Row | None] = {}
    for number, entry in enumerate(entries, 1):
        is_back = entry.verdict == "rolled back"
        if is_back and now is not None and now.entry.night == entry.night:
            now, since = before[now.number], entry.time
        base = now.entry.pins if now else {}
        row = Row(number, entry, tuple(_changes(base, entry.pins, is_back=is_back)))
        rows.append(row)
        if entry.verdict == "promoted":
            before[number] = now
            now, since = row, entry.time
    return rows, now, since


def _changes(base: dict[str, str], pins: dict[str, str], *, is_back: bool) -> Iterator[Change]:
    if not base or not pins:
        return
    old, new = (pins, base) if is_back else (base, pins)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Change(name, old.get(name, ""), new.get(name, ""))


def _promotion(rows: Iterable[Row], night: str) -> Row | None:
    """Return the last promotion of a night, or None where the feed has none."""
    found = [r for r in rows if r.entry.night == night and r.entry.verdict == "promoted"]
    return found[-1] if found else None


def _last_of_each(rows: Iterable[Row]) -> list[Row]:
    """Return how the last candidates went, in the order in which they were last tried."""
    last: dict[str, Row] = {}
    for row in rows:
        if row.entry.verdict != "rolled back":
            last.pop(row.entry.night, None)
        last[row.entry.night] = row
    return list(last.values())[-_LAST:]


def _counts(rows: Iterable[Row]) -> list[tuple[Outcome, int]]:
    """Return how many rows have each verdict; those that none has are left out."""
    found = Counter(row.entry.verdict for row in rows)
    outcomes: tuple[Outcome, ...] = get_args(Outcome)
    return [(one, found[one]) for one in outcomes if found[one]]


def _plots(entries: Sequence[Entry]) -> Iterator[Plot]:
    promoted = [one for one in entries if one.verdict == "promoted"]
    kernels = [(one, float(one.kernels.count)) for one in promoted if one.kernels]
    yield _plot("Kernels of what was promoted", kernels, "{:.0f}".format)
    sizes = [(one, float(one.wheelhouse)) for one in promoted if one.wheelhouse]
    yield _plot("Wheelhouse of what was promoted", sizes, lambda size: size_text(int(size)))
    # What is rolled back has the figures of its promotion.
    nights = [(e, sum(e.seconds.values())) for e in entries if e.verdict != "rolled back"]
    spent = [(one, seconds) for one, seconds in nights if seconds]
    yield _plot("How long each night took", spent, duration, is_bars=True)


def _plot(
    words: str,
    values: Iterable[tuple[Entry, float]],
    told: Callable[[float], str],
    *,
    is_bars: bool = False,
) -> Plot:
    """Lay out figures over time; what has no readable time is left out. Bars begin at 0."""
    timed = [(t, entry, n) for entry, n in values if (t := _read_time(entry.time)) is not None]
    timed.sort(key=lambda one: one[0])
    if not timed:
        return Plot(words, is_bars, (), "", "", "", "")
    begin, end = timed[0][0], timed[-1][0]
    most = max(n for _, _, n in timed)
    least = 0.0 if is_bars else min(n for _, _, n in timed)
    points = tuple(
        Point(
            x=_along((t - begin).total_seconds(), (end - begin).total_seconds(), _WIDTH),
            y=round(_HEIGHT - _along(n - least, most - least, _HEIGHT, 0 if is_bars else _EDGE), 1),
            verdict=entry.verdict,
            title=f"{entry.release}, {minute(entry.time)}: {told(n)}, {entry.verdict}",
        )
        for t, entry, n in timed
    )
    shown = told(least) if told(least) != told(most) else ""
    days = (begin.date().isoformat(), end.date().isoformat())
    return Plot(words, is_bars, points, told(most), shown, *days)


def _along(part: float, whole: float, length: int, edge: int = _EDGE) -> float:
    """Return how far along a side a point lies; in its middle where there is only one."""
    return round(edge + (part / whole if whole > 0 else 0.5) * (length - 2 * edge), 1)


def visible(value: Any) -> Any:
    """Return text with a code in place of each character that has no shape, or turns the line."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value  # what a macro made went through here piece by piece
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
        for one in value
    )


def clipped(text: str, most: int = _MOST_LETTERS) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def duration(seconds: float) -> str:
    """Return seconds in words: 40 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def minute(time: str) -> str:
    """Return the day and minute of a time of the feed, in UTC; as it is where it is no time."""
    read = _read_time(time)
    return time if read is None else f"{read:%Y-%m-%d %H:%M}"


def _read_time(text: str) -> dt.datetime | None:
    try:
        read = dt.datetime.fromisoformat(text)
        return read.astimezone(dt.UTC) if read.tzinfo else read.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None
