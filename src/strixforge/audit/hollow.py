"""Hollow kernels: right names, right target, and nothing in them.

An architecture that is missing from a macro of the source leaves every kernel's name in place and
takes its body away; the host still chooses it. See `bodies` for how it is known.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from strixforge.audit.bodies import Body
from strixforge.audit.codeobjects import CodeObject, Unreadable
from strixforge.audit.targets import covers

_SAYS = {
    Body.FAILS: "does nothing but assert or trap",
    Body.ENDS: "ends without having written anything",
}


def hollow_findings(
    found: Iterable[CodeObject | Unreadable], arch: str, allowed: Iterable[str]
) -> list[str]:
    """Return one sentence for each hollow kernel of a file, by its name, and how many it is.

    `allowed` are regular expressions of whole names: what upstream leaves empty on purpose.
    Code objects for other targets than `arch` are another gate's.
    """
    patterns = [re.compile(one) for one in allowed]
    objects = [one for one in found if isinstance(one, CodeObject) and covers(one.target, arch)]
    counts: Counter[tuple[str, str]] = Counter()
    of = Counter(one.where for one in objects for _ in one.kernels)
    first: dict[tuple[str, str], str] = {}
    for where, name, body in _hollow(objects):
        if not any(pattern.fullmatch(name) for pattern in patterns):
            key = (where, _SAYS[body])
            counts[key] += 1
            first.setdefault(key, name)
    return [
        f"{where}: {number} of {of[where]} kernels, such as {first[where, says]}: each {says}."
        for (where, says), number in counts.items()
    ]


def _hollow(objects: Iterable[CodeObject]) -> Iterator[tuple[str, str, Body]]:
    for one in objects:
        for kernel in one.kernels:
            if kernel.body in _SAYS:
                yield one.where, kernel.name, kernel.body
