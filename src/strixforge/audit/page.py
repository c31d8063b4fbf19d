"""A comparison as one page of HTML that needs nothing else: no script, no font, no network."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import jinja2

from strixforge.audit.changes import figures, short
from strixforge.audit.compare import MEASURES, Comparison, Measure, Pair
from strixforge.audit.kernels import Kernel
from strixforge.audit.occupancy import MOST_WAVES, waves

_SIDE = 300
"""Of a plot, in units of its own; the page scales it."""
_MOST = 200
"""Rows of a list. The JSON has all."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Two heights over one value, 0 to 1."""

    label: str
    old: float
    new: float
    counts: str
    most: int
    """The larger count."""


@dataclass(frozen=True, slots=True)
class Dot:
    """Kernels whose figure went from one value to another."""

    x: float
    y: float
    r: float
    is_worse: bool
    title: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """One measure, before and now; what lies on the diagonal did not change."""

    words: str
    most: int
    dots: tuple[Dot, ...]


def page(comparison: Comparison, findings: tuple[str, ...]) -> str:
    """Return the page. The same comparison makes the same bytes."""
    template = Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["short"] = short
    changed = comparison.changed()
    return environment.from_string(template).render(
        arch=comparison.arch,
        findings=findings,
        counts=[
            ("before", len(comparison.old.kernels)),
            ("now", len(comparison.new.kernels)),
            ("gone", len(comparison.gone)),
            ("tuned anew", len(comparison.retuned)),
            ("new", len(comparison.added)),
            ("changed", len(changed)),
        ],
        measures=[
            (one.words, len(comparison.worse(one)), len(comparison.better(one))) for one in MEASURES
        ],
        bars=_bars(comparison),
        scatters=[plot for one in MEASURES if (plot := _scatter(comparison, one)).dots],
        side=_SIDE,
        columns=[one.words for one in MEASURES],
        rows=[(pair, _cells(pair, comparison.arch)) for pair in changed[:_MOST]],
        lists=[
            (title, placed[:_MOST], len(placed))
            for title, placed in (
                ("Gone", comparison.gone),
                ("Tuned anew", comparison.retuned),
                ("New", comparison.added),
            )
        ],
        more=max(0, len(changed) - _MOST),
    )


def _cells(pair: Pair, arch: str) -> list[tuple[str, str]]:
    """Return text and class of each measure of a row."""
    old, new = figures(pair.old, arch), figures(pair.new, arch)
    cells = []
    for measure in MEASURES:
        cost = measure.cost(pair, arch)
        text = f"{old[measure.key]} → {new[measure.key]}" if cost else f"{new[measure.key]}"
        cells.append((text, "worse" if cost > 0 else "better" if cost < 0 else ""))
    return cells


def _bars(comparison: Comparison) -> list[Bar]:
    old, new = (
        Counter(_waves(one.kernels, comparison.arch)) for one in (comparison.old, comparison.new)
    )
    most = max([*old.values(), *new.values()], default=1)
    return [
        Bar(
            str(n),
            old[n] / most,
            new[n] / most,
            f"{n} waves: {old[n]} before, {new[n]} now",
            max(old[n], new[n]),
        )
        for n in range(1, MOST_WAVES + 1)
    ]


def _waves(kernels: list[Kernel], arch: str) -> list[int]:
    return [fit for one in kernels if (fit := waves(one, arch)) is not None]


def _scatter(comparison: Comparison, measure: Measure) -> Scatter:
    points: Counter[tuple[int, int]] = Counter()
    names: dict[tuple[int, int], str] = {}
    for pair in (*comparison.worse(measure), *comparison.better(measure)):
        old = measure.of(pair.old, comparison.arch)
        new = measure.of(pair.new, comparison.arch)
        if old is not None and new is not None:
            points[old, new] += 1
            names.setdefault((old, new), short(pair.new.name, 60))
    most = max((max(point) for point in points), default=0)
    return Scatter(
        measure.words,
        most,
        tuple(
            Dot(
                x=round(old / most * _SIDE, 1),
                y=round(_SIDE - new / most * _SIDE, 1),
                r=round(min(3 + count**0.5, 12), 1),
                is_worse=(new > old) == measure.more_is_worse,
                title=f"{old} → {new}: {count} kernels, such as {names[old, new]}",
            )
            for (old, new), count in sorted(points.items())
        ),
    )
