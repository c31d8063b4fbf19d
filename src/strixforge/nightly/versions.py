"""Versions of TheRock: which is newer, and what kind of release each is.

Source: ROCm/TheRock docs/packaging/versioning.md at d86f77f0. Nightlies are X.Y.ZaYYYYMMDD; until
2025 they were X.Y.ZrcYYYYMMDD, which PEP 440 takes for a candidate newer than every real one.
"""

import datetime as dt
from typing import Literal, TypeAlias

from packaging.version import InvalidVersion, Version

ReleaseKind: TypeAlias = Literal["stable", "rc", "nightly", "dev"]
Order: TypeAlias = tuple[tuple[int, ...], int, int, str]
_RANKS: dict[ReleaseKind, int] = {"dev": 0, "nightly": 1, "rc": 2, "stable": 3}
_PARTS = 4
_LONGEST = 200
"""Characters; one of TheRock's developers has 60."""


def parse(text: str) -> Version | None:
    """Return a version, or None for text that is none."""
    try:
        return Version(text) if len(text) <= _LONGEST else None
    except InvalidVersion:
        return None


def kind(version: Version) -> ReleaseKind:
    """Return what kind of release a version is."""
    if version.is_devrelease:
        return "dev"
    if version.pre is None:
        return "stable"
    return "rc" if version.pre[0] == "rc" and day(version) is None else "nightly"


def day(version: Version) -> dt.date | None:
    """Return the day in a nightly's number; None where it has none."""
    number = str(version.pre[1]) if version.pre is not None else ""
    if len(number) != len("YYYYMMDD"):
        return None
    try:
        return dt.datetime.strptime(number, "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None


def order(version: Version) -> Order:
    """Return what versions are sorted by, the newest last: number, kind, count; then the local."""
    number = (*version.release, *[0] * _PARTS)[: max(_PARTS, len(version.release))]
    count = version.pre[1] if version.pre is not None else (version.dev or version.post or 0)
    return number, _RANKS[kind(version)], count, version.local or ""
