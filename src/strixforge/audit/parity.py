"""Whether kernels that work for a sibling target are there for ours, and do something.

An architecture that a list of the source lacks takes kernels away, one that a macro lacks leaves
them hollow. A sibling that upstream supports shows which kernels ought to work.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from strixforge.audit.identity import file_identity, kernel_identity, problem, without_target
from strixforge.audit.images import printable
from strixforge.audit.kernels import Kernel
from strixforge.audit.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Unlike:
    """A kernel that works for the sibling and not for ours."""

    file: str
    """Where the sibling's is."""
    name: str


@dataclass(frozen=True, slots=True)
class Parity:
    """The kernels of two targets beside each other."""

    arch: str
    sibling: str
    compared: int
    """Kernels of the sibling that are not known to be hollow, and not allowed to be."""
    hollow: tuple[Unlike, ...]
    missing: tuple[Unlike, ...]
    tuned: int
    """Tensile's kernels that only the sibling has, while others of ours solve the same problem."""

    def findings(self) -> list[str]:
        """Return why ours does not stand beside the sibling, a sentence for each file."""
        if not self.compared:
            return [f"There is no working kernel for {self.sibling} to compare with."]
        return [
            f"{file}: {len(names)} kernels that work for {self.sibling} are {what} for "
            f"{self.arch}, such as {printable(names[0])}."
            for what, unlike in (("hollow", self.hollow), ("missing", self.missing))
            for file, names in _by_file(unlike).items()
        ]


def _by_file(unlike: Iterable[Unlike]) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for one in unlike:
        files.setdefault(one.file, []).append(one.name)
    return files


_Key = tuple[str, str]
"""File and kernel, both without what names version and target."""


def parity(ours: Snapshot, sibling: Snapshot, allowed: Iterable[str] = ()) -> Parity:
    """Hold the kernels of `ours` against those that work for a sibling target.

    A kernel is looked for in the same file first, then in all others: `x-gfx1100.co` and
    `x-gfx1151.co` are the same file. `allowed` are regular expressions of whole names: kernels
    that upstream leaves empty on purpose.
    """
    patterns = [re.compile(one) for one in allowed]
    filled: Counter[_Key] = Counter()
    empty: Counter[_Key] = Counter()
    for _, kernel, key in _keyed(ours):
        (empty if kernel.is_hollow else filled)[key] += 1
    solved = {(file, problem(name)) for file, name in filled}
    working = [
        (file, kernel, key)
        for file, kernel, key in _keyed(sibling)
        if not kernel.is_hollow and not any(one.fullmatch(kernel.name) for one in patterns)
    ]
    hollow, left = [], []
    for file, kernel, key in working:
        if _take(filled, key):
            continue
        if _take(empty, key):
            hollow.append(Unlike(file, kernel.name))
        else:
            left.append((Unlike(file, kernel.name), key))
    missing, tuned = [], 0
    filled, empty = _anywhere(filled), _anywhere(empty)
    for unlike, (file, name) in left:
        if _take(filled, ("", name)):
            continue
        if _take(empty, ("", name)):
            hollow.append(unlike)
        elif problem(name) and (file, problem(name)) in solved:
            tuned += 1
        else:
            missing.append(unlike)
    return Parity(ours.arch, sibling.arch, len(working), tuple(hollow), tuple(missing), tuned)


def _keyed(taken: Snapshot) -> Iterator[tuple[str, Kernel, _Key]]:
    for file in taken.files:
        place = without_target(file_identity(file.name), taken.arch)
        for kernel in file.kernels:
            yield (
                file.name,
                kernel,
                (place, without_target(kernel_identity(kernel.name), taken.arch)),
            )


def _take(pool: Counter[_Key], key: _Key) -> bool:
    """Take one out of what is left of a kernel; return whether there was one."""
    if pool[key] <= 0:  # a Counter does not keep what it is only asked for
        return False
    pool[key] -= 1
    return True


def _anywhere(pool: Counter[_Key]) -> Counter[_Key]:
    names: Counter[_Key] = Counter()
    for (_, name), count in pool.items():
        names["", name] += count
    return names
