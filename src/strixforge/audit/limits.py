"""How much worse kernels may get before a comparison does not pass."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

from strixforge.audit.compare import MEASURES, Comparison, Measure, Pair, Placed
from strixforge.audit.identity import package
from strixforge.audit.images import printable


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares of the kernels of each wheel, package or archive, from 0 to 1.

    As they stand here they ask only what needs no judgement: that no kernel is gone or hollow.
    """

    gone: float = 0
    """Of the old kernels, those without a new one. Others that solve the same problem count."""
    hollow: float = 0
    """Of the kernels on both sides, as all that follow: those that did something and do no more."""
    vgpr_spills: float = 1
    """Those that spill more vector registers."""
    sgpr_spills: float = 1
    waves: float = 1
    """Those of which fewer waves fit on a SIMD."""
    scratch: float = 1
    vgprs: float = 1
    lds: float = 1


LIMITS = tuple(one.name for one in fields(Limits))
"""What can be limited: two kinds of loss, and the keys of all measures."""


@dataclass(slots=True)
class _Part:
    """What of a comparison came in one archive."""

    pairs: list[Pair] = field(default_factory=list)
    gone: list[Placed] = field(default_factory=list)
    retuned: int = 0


def findings(
    comparison: Comparison, limits: Limits, others: Mapping[str, Limits] | None = None
) -> list[str]:
    """Return why a comparison does not pass, as sentences; empty where it does.

    `others` are the limits of some wheels, packages or archives, by name without version.
    What has no kernel to begin with, or could not be read, does not pass: nothing is known of it.
    """
    said = [f"The old {one}. Not all are compared." for one in comparison.old.unreadable]
    if not comparison.old.files:
        said.append(f"There is no old kernel for {comparison.arch} to compare with.")
    for name, part in sorted(_parts(comparison).items()):
        chosen = (others or {}).get(name, limits)
        said += _of(name or "loose files", part, comparison.arch, chosen)
    return said


def _parts(comparison: Comparison) -> dict[str, _Part]:
    parts = {package(file.name): _Part() for file in comparison.old.files}
    for pair in comparison.pairs:
        parts[package(pair.moved_from or pair.file)].pairs.append(pair)
    for one in comparison.gone:
        parts[package(one.file)].gone.append(one)
    for one in comparison.retuned:
        parts[package(one.file)].retuned += 1
    return parts


def _of(name: str, part: _Part, arch: str, limits: Limits) -> Iterator[str]:
    both = len(part.pairs)
    before = both + len(part.gone) + part.retuned
    gone = [one.kernel.name for one in part.gone]
    yield from _above(name, gone, "are gone", before, limits.gone)
    hollow = [one.new.name for one in part.pairs if one.became_hollow]
    yield from _above(name, hollow, "became hollow", both, limits.hollow)
    for measure in MEASURES:
        worse = _worse(part, measure, arch)
        what = f"have {'more' if measure.more_is_worse else 'fewer'} {measure.words}"
        yield from _above(name, worse, what, both, getattr(limits, measure.key))


def _above(name: str, kernels: list[str], what: str, of: int, limit: float) -> Iterator[str]:
    if len(kernels) > limit * of:
        allowed = f"; {limit:.2%} may" if limit else ""
        yield (
            f"{name}: {len(kernels)} of {of} kernels {what} ({len(kernels) / of:.2%}{allowed}), "
            f"such as {printable(kernels[0])}."
        )


def _worse(part: _Part, measure: Measure, arch: str) -> list[str]:
    """Return the names of those that got worse, the worst first."""
    costs = [(measure.cost(one, arch), one.new.name) for one in part.pairs]
    return [name for cost, name in sorted(costs, key=lambda one: (-one[0], one[1])) if cost > 0]
