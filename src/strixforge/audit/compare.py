"""What changed for the kernels of one target from one version of files to the next.

A kernel is matched by its name in the file that is the same but for versions; what is left over, by
its name wherever it now lies. Several of one name are matched by their figures: the equal first.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from strixforge.audit.identity import file_identity, kernel_identity, problem
from strixforge.audit.kernels import Kernel
from strixforge.audit.occupancy import waves
from strixforge.audit.snapshot import Snapshot, figures


@dataclass(frozen=True, slots=True)
class Placed:
    """A kernel that only one side has."""

    file: str
    kernel: Kernel


@dataclass(frozen=True, slots=True)
class Pair:
    """One kernel on both sides."""

    file: str
    """Where it is now."""
    old: Kernel
    new: Kernel
    moved_from: str
    """The file where it was, if that is another one; else nothing."""

    @property
    def became_hollow(self) -> bool:
        """Say whether it did something, and does nothing now."""
        return self.new.is_hollow and not self.old.is_hollow


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a kernel that costs time when it grows, or when it shrinks."""

    key: str
    words: str
    """What it counts, as a person says it."""
    of: Callable[[Kernel, str], int | None]
    """From a kernel and the target; None where it is not known."""
    more_is_worse: bool = True

    def cost(self, pair: Pair, arch: str) -> int:
        """Return by how much it got worse; below 0 where it got better."""
        old, new = self.of(pair.old, arch), self.of(pair.new, arch)
        if old is None or new is None:
            return 0
        return new - old if self.more_is_worse else old - new


MEASURES = (
    Measure("vgpr_spills", "VGPR spills", lambda kernel, _: kernel.vgpr_spills),
    Measure("sgpr_spills", "SGPR spills", lambda kernel, _: kernel.sgpr_spills),
    Measure("waves", "waves on a SIMD", waves, more_is_worse=False),
    Measure("scratch", "bytes of scratch", lambda kernel, _: kernel.scratch),
    Measure("vgprs", "VGPRs", lambda kernel, _: kernel.vgprs),
    Measure("lds", "bytes of LDS", lambda kernel, _: kernel.lds),
)
"""What costs most comes first."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two snapshots of one target beside each other."""

    old: Snapshot
    new: Snapshot
    pairs: tuple[Pair, ...]
    gone: tuple[Placed, ...]
    retuned: tuple[Placed, ...]
    """Gone, and what they solve is solved by other kernels of the same file."""
    added: tuple[Placed, ...]

    @property
    def arch(self) -> str:
        """Return the target of both."""
        return self.new.arch

    def changed(self) -> list[Pair]:
        """Return the pairs that differ in a measure or in doing anything, the worst first."""
        ranked = [(self._cost(pair), pair) for pair in self.pairs]
        differ = [(cost, pair) for cost, pair in ranked if any(cost)]
        differ.sort(key=lambda one: (*(-cost for cost in one[0]), one[1].file, one[1].new.name))
        return [pair for _, pair in differ]

    def _cost(self, pair: Pair) -> tuple[int, ...]:
        hollow = pair.new.is_hollow - pair.old.is_hollow
        return (hollow, *(measure.cost(pair, self.arch) for measure in MEASURES))

    def worse(self, measure: Measure) -> list[Pair]:
        """Return the pairs that got worse in one measure, the worst first."""
        return self._by(measure, 1)

    def better(self, measure: Measure) -> list[Pair]:
        """Return the pairs that got better in one measure, the best first."""
        return self._by(measure, -1)

    def _by(self, measure: Measure, sign: int) -> list[Pair]:
        costs = ((sign * measure.cost(pair, self.arch), pair) for pair in self.pairs)
        found = [(cost, pair) for cost, pair in costs if cost > 0]
        found.sort(key=lambda one: (-one[0], one[1].file, one[1].new.name))
        return [pair for _, pair in found]


def compare(old: Snapshot, new: Snapshot) -> Comparison:
    """Match the kernels of two snapshots of one target, whatever order they come in."""
    pairs: list[Pair] = []
    left, right = _keyed(old), _keyed(new)
    gone = list(_matched(left, right, pairs))
    added = [one for rest in right.values() for one in rest]
    left, right = _by_name(gone), _by_name(added)
    gone = list(_matched(left, right, pairs))
    added = [one for rest in right.values() for one in rest]
    solved = {_problem(file.name, one) for file in new.files for one in file.kernels} - {None}
    retuned = [one for one in gone if _problem(one.file, one.kernel) in solved]
    gone = [one for one in gone if _problem(one.file, one.kernel) not in solved]
    pairs.sort(key=lambda one: (one.file, one.new.name, figures(one.new), figures(one.old)))
    return Comparison(old, new, tuple(pairs), _sorted(gone), _sorted(retuned), _sorted(added))


_Pool = dict[tuple[str, str], list[Placed]]


def _keyed(taken: Snapshot) -> _Pool:
    pool: _Pool = {}
    for file in taken.files:
        identity = file_identity(file.name)
        for kernel in file.kernels:
            key = (identity, kernel_identity(kernel.name))
            pool.setdefault(key, []).append(Placed(file.name, kernel))
    return pool


def _by_name(placed: Iterable[Placed]) -> _Pool:
    pool: _Pool = {}
    for one in placed:
        pool.setdefault(("", kernel_identity(one.kernel.name)), []).append(one)
    return pool


def _matched(left: _Pool, right: _Pool, pairs: list[Pair]) -> Iterator[Placed]:
    """Move what matches into `pairs`, out of `right`; yield what of `left` is left over."""
    for key, old in left.items():
        new = right.pop(key, [])
        rest_old, rest_new = _equal(old, new, pairs)
        pairs += (_pair(one, other) for one, other in zip(rest_old, rest_new, strict=False))
        yield from rest_old[len(rest_new) :]
        if len(rest_new) > len(rest_old):
            right[key] = rest_new[len(rest_old) :]


def _equal(
    old: list[Placed], new: list[Placed], pairs: list[Pair]
) -> tuple[list[Placed], list[Placed]]:
    """Pair off those with equal figures; return the rest of both sides, sorted by figures."""
    if len(old) == len(new) == 1:
        return old, new
    waiting: dict[tuple[int | str, ...], deque[Placed]] = {}
    for one in sorted(new, key=_order):
        waiting.setdefault(figures(one.kernel), deque()).append(one)
    rest = []
    for one in sorted(old, key=_order):
        if same := waiting.get(figures(one.kernel)):
            pairs.append(_pair(one, same.popleft()))
        else:
            rest.append(one)
    return rest, [one for same in waiting.values() for one in same]


def _order(one: Placed) -> tuple[tuple[int | str, ...], str]:
    return figures(one.kernel), one.file


def _pair(old: Placed, new: Placed) -> Pair:
    moved = file_identity(old.file) != file_identity(new.file)
    return Pair(new.file, old.kernel, new.kernel, old.file if moved else "")


def _problem(file: str, kernel: Kernel) -> tuple[str, str] | None:
    solves = problem(kernel.name)
    return (file_identity(file), solves) if solves else None


def _sorted(placed: list[Placed]) -> tuple[Placed, ...]:
    return tuple(sorted(placed, key=lambda one: (one.file, one.kernel.name, figures(one.kernel))))
