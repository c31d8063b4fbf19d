"""Which Python the wheels of a wheelhouse need."""

import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from functools import lru_cache
from itertools import combinations
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from strixforge.model.errors import GateError

_INSTALLER = ">=3.10"  # what install.py can run under
# Where the search for a fitting version ends: Python 3.49, and patch 39 of each.
_MINORS = range(50)
_PATCHES = range(40)
_PURE = re.compile(r"py3(\d*)")
_CPYTHON = re.compile(r"cp3(\d+)")
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


@dataclass(frozen=True, slots=True)
class NeededPython:
    """The CPython, not free-threaded, beside which all wheels of a wheelhouse can be installed."""

    minimum: str
    """Its lowest minor version, such as 3.13."""
    exact: bool
    """Whether it must be that minor version: a wheel is for no later one."""
    requires: str
    """All that the wheels say in Requires-Python, and the installer's own need."""


@dataclass(frozen=True, slots=True)
class _Need:
    """What one wheel, or the installer, needs."""

    name: str
    reason: str
    fitting: frozenset[tuple[int, int]]
    """Minor and patch of each version of Python 3 that fits."""
    exact: bool
    requires: str


def needed_python(wheels: Iterable[Path]) -> NeededPython:
    """Return the Python that all `wheels` and the installer need.

    Raises GateError when one is not for CPython, cannot be read, or two contradict each other.
    """
    needs = [
        _Need("install.sh", _INSTALLER, _fitting(_INSTALLER), exact=False, requires=_INSTALLER),
        *(_need(wheel) for wheel in sorted(wheels)),
    ]
    common = frozenset.intersection(*(need.fitting for need in needs))
    if not common:
        pairs = combinations(needs, 2)
        apart = next((pair for pair in pairs if not pair[0].fitting & pair[1].fitting), needs)
        raise GateError(
            f"no Python fits {' and '.join(need.name for need in apart)}.",
            where="\n".join(f"{need.name}: {need.reason}" for need in apart),
            cause="The wheels of one wheelhouse are installed beside one Python.",
            fix="Build or pin them for the same Python; ./doit explain lists what changed.",
        )
    requires = SpecifierSet(",".join(need.requires for need in needs if need.requires))
    return NeededPython(
        minimum=f"3.{min(common)[0]}",
        exact=any(need.exact for need in needs),
        requires=str(requires),
    )


def _need(wheel: Path) -> _Need:
    try:
        tags = parse_wheel_filename(wheel.name)[3]
    except InvalidWheelFilename as error:
        raise GateError(f"{wheel.name} is no name of a wheel: {error}", where=str(wheel)) from None
    minors, exact = _minors(tags)
    if not minors:
        raise GateError(
            f"{wheel.name} is not for CPython.",
            where=str(wheel),
            cause="Its tags are for another Python, or for the free-threaded CPython alone.",
        )
    requires = _requires_python(wheel)
    reason = ", ".join(sorted({f"{tag.interpreter}-{tag.abi}" for tag in tags}))
    return _Need(
        name=wheel.name,
        reason=f"{reason}; Requires-Python: {requires or 'nothing'}",
        fitting=frozenset(version for version in _fitting(requires) if version[0] in minors),
        exact=exact,
        requires=requires,
    )


def _minors(tags: Iterable[Tag]) -> tuple[frozenset[int], bool]:
    """Return the minor versions of CPython 3 that a wheel is for, and whether the list is final."""
    closed: set[int] = set()
    opened: set[int] = set()
    for tag in tags:
        pure, cpython = _PURE.fullmatch(tag.interpreter), _CPYTHON.fullmatch(tag.interpreter)
        if pure and tag.abi == "none":
            opened.add(int(pure[1] or 0))
        elif cpython and tag.abi == "abi3":
            opened.add(int(cpython[1]))
        elif cpython and tag.abi in (tag.interpreter, "none"):
            closed.add(int(cpython[1]))
    if opened:  # from the lowest on; a tag for one version beside it adds nothing that is in use
        return frozenset(_MINORS[min(opened) :]), False
    return frozenset(closed), bool(closed)


def _requires_python(wheel: Path) -> str:
    """Return Requires-Python as the wheel says it; empty when it says nothing that pip heeds."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            (name,) = filter(_METADATA.fullmatch, archive.namelist())
            text = BytesHeaderParser().parsebytes(archive.read(name))["Requires-Python"]
    except (OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise GateError(f"{wheel.name} cannot be read: {error}", where=str(wheel)) from None
    try:
        return str(SpecifierSet(str(text or "")))
    except InvalidSpecifier:
        return ""


@lru_cache(maxsize=64)
def _fitting(requires: str) -> frozenset[tuple[int, int]]:
    allowed = SpecifierSet(requires, prereleases=True)
    every = ((minor, patch) for minor in _MINORS for patch in _PATCHES)
    return frozenset((m, p) for m, p in every if f"3.{m}.{p}" in allowed)
