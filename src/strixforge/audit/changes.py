"""What a comparison says to a person, and to a machine."""

from collections.abc import Iterable
from typing import Any

from strixforge.audit.compare import MEASURES, Comparison, Pair, Placed
from strixforge.audit.images import printable
from strixforge.audit.kernels import Kernel

_NAME = 34
"""Characters of a kernel's name in the table: with the figures, a line has 80."""


def lines(comparison: Comparison, most: int = 12) -> list[str]:
    """Return the comparison as lines for a person: the counts, then the kernels that got worst."""
    old, new = (len(one.kernels) for one in (comparison.old, comparison.new))
    changed = comparison.changed()
    counts = (
        f"{len(comparison.gone)} gone, {len(comparison.retuned)} tuned anew, "
        f"{len(comparison.added)} new, {len(changed)} changed"
    )
    said = [f"{old} kernels before, {new} now", counts]
    rows = [("worse", "better", "in")]
    for measure in MEASURES:
        worse, better = len(comparison.worse(measure)), len(comparison.better(measure))
        if worse or better:
            rows.append((str(worse), str(better), measure.words))
    if len(rows) > 1:
        said += [f"{left:>7} {right:>7}  {what}" for left, right, what in rows]
    said += _listed("gone", [one.kernel.name for one in comparison.gone], most)
    hollow = [pair.new.name for pair in changed if pair.became_hollow]
    said += _listed("hollow now", hollow, most)
    costlier = [pair for pair in changed if _worse(pair, comparison.arch)]
    said += [_line(pair, comparison.arch) for pair in costlier[:most]]
    if len(costlier) > most:
        said.append(f"and {len(costlier) - most} more that got worse")
    return said


def _listed(what: str, names: list[str], most: int) -> list[str]:
    said = [f"{what}: {printable(name)}" for name in names[:most]]
    return [*said, f"and {len(names) - most} more {what}"] if len(names) > most else said


def _worse(pair: Pair, arch: str) -> bool:
    return any(measure.cost(pair, arch) > 0 for measure in MEASURES)


def _line(pair: Pair, arch: str) -> str:
    moves = [
        f"{measure.words} {measure.of(pair.old, arch)} → {measure.of(pair.new, arch)}"
        for measure in MEASURES
        if measure.cost(pair, arch)
    ]
    return f"{short(pair.new.name, _NAME)}  {', '.join(moves)}"


def short(name: str, most: int) -> str:
    """Return a name of at most so many characters: both ends tell kernels apart."""
    name = printable(name)
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - half]}…{name[-half:]}"


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON has it: docs/reference/audit.md."""
    return {
        "old": _side(comparison.old.kernels, comparison.old.unreadable),
        "new": _side(comparison.new.kernels, comparison.new.unreadable),
        "gone": _placed(comparison.gone),
        "retuned": _placed(comparison.retuned),
        "added": _placed(comparison.added),
        "changed": [
            {
                "file": pair.file,
                "name": pair.new.name,
                "moved_from": pair.moved_from,
                "became_hollow": pair.became_hollow,
                "old": figures(pair.old, comparison.arch),
                "new": figures(pair.new, comparison.arch),
            }
            for pair in comparison.changed()
        ],
        "measures": {
            one.key: {"worse": len(comparison.worse(one)), "better": len(comparison.better(one))}
            for one in MEASURES
        },
    }


def figures(kernel: Kernel, arch: str) -> dict[str, int | None]:
    """Return the measures of a kernel, by key."""
    return {one.key: one.of(kernel, arch) for one in MEASURES}


def _side(kernels: list[Kernel], unreadable: tuple[str, ...]) -> dict[str, Any]:
    return {"kernels": len(kernels), "unreadable": list(unreadable)}


def _placed(placed: Iterable[Placed]) -> list[dict[str, str]]:
    return [{"file": one.file, "name": one.kernel.name} for one in placed]
