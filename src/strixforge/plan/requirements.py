"""Hashed Python requirements: locks/<stack>/<component>.txt, the form that pip and uv read."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from strixforge.model.errors import DataError, UnpinnedError
from strixforge.plan.python import Python

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Locked:
    """One distribution at one version, known by the sha256 of each of its files."""

    name: str
    version: str
    hashes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a lock file holds, sorted by name."""

    path: Path
    locked: tuple[Locked, ...]

    def key(self) -> list[str]:
        """Return what of it goes into a key document."""
        return [f"{one.name}=={one.version} {' '.join(sorted(one.hashes))}" for one in self.locked]


def load_requirements(
    path: Path, wanted: tuple[str, ...], python: Python, *, what: str
) -> Requirements:
    """Read a requirement lock and check that it satisfies `wanted` for that Python.

    Raises UnpinnedError when the file or an entry is missing or without a hash, DataError when a
    line cannot be read.
    """
    if not wanted:
        return Requirements(path, ())
    fix = "./doit lock"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnpinnedError(
            f"the Python requirements of the {what} are not locked.", where=str(path), fix=fix
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the lock cannot be read: {error}.", where=str(path), fix=fix) from None
    locked: dict[str, Locked] = {}
    for one in _parse(text, path, python):
        if locked.setdefault(one.name, one) != one:
            raise DataError(f"{one.name} is locked twice, differently.", where=str(path), fix=fix)
    for text_wanted in wanted:
        requirement = Requirement(text_wanted)
        if not _holds(requirement.marker, python):
            continue
        have = locked.get(canonicalize_name(requirement.name))
        if have is None or not requirement.specifier.contains(have.version, prereleases=True):
            found = f"the lock has {have.version}" if have else "the lock lacks it"
            raise UnpinnedError(
                f"{what}: '{text_wanted}' is not locked ({found}).", where=str(path), fix=fix
            )
    return Requirements(path, tuple(locked[name] for name in sorted(locked)))


def _parse(text: str, path: Path, python: Python) -> list[Locked]:
    found = []
    for number, line in _logical_lines(text):
        hashes = frozenset(_HASH.findall(line))
        rest = _HASH.sub("", line).strip()
        try:
            requirement = Requirement(rest)
            holds = _holds(requirement.marker, python)
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
            raise DataError(
                f"'{rest}' is not a locked requirement.",
                where=f"{path}: line {number}",
                fix="./doit lock",
            ) from None
        pinned = re.fullmatch(r"==([^=*,]+)", str(requirement.specifier))
        if requirement.url or pinned is None or not hashes:
            raise UnpinnedError(
                f"'{rest}' is not pinned by version and sha256.",
                where=f"{path}: line {number}",
                fix="./doit lock",
            )
        if holds:
            version = str(Version(pinned[1]))
            found.append(Locked(canonicalize_name(requirement.name), version, hashes))
    return found


def _holds(marker: Marker | None, python: Python) -> bool:
    return marker is None or marker.evaluate(dict(python.markers()))


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Join continued lines and drop comments; each with the number of its first line."""
    lines: list[tuple[int, str]] = []
    start, parts = 0, list[str]()
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", raw).rstrip()
        if not parts:
            start = number
        parts.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            joined = " ".join(parts).strip()
            if joined:
                lines.append((start, joined))
            parts = []
    if parts and " ".join(parts).strip():
        lines.append((start, " ".join(parts).strip()))
    return lines
