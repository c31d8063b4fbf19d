"""`dependencies`: what the wheels ask for is among them.

Nothing is resolved when a wheelhouse is installed, so what is missing would show only on import.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import Version

from strixforge.gates.finding import Checked, Finding
from strixforge.gates.metadata import read_metadata
from strixforge.gates.staged import Archive, Staged
from strixforge.model.errors import GateError
from strixforge.plan.python import Python

GATE = "dependencies"
_FIX = (
    "Add it to `runtime` of the recipe that needs it, then: ./doit lock\n"
    "If the stack does without it: `without` in that recipe, and its page says why."
)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What came out of a check."""

    held: int
    """How many requirements are met by a wheel that is there."""
    unused: tuple[str, ...]
    """What is left out though nothing asks for it: `ray of vllm`."""
    missing: tuple[str, ...] = ()
    """What is not there, or of another version, one sentence each."""
    met: frozenset[tuple[str, str]] = frozenset()
    """Which wheel asks for which other one, by name."""


@dataclass(slots=True)
class _Wheel:
    name: NormalizedName
    version: Version
    requires: list[str]
    extras: set[str] = field(default_factory=set)
    """Those of its extras that another wheel asks for."""


def check(staged: Staged) -> Checked:
    """Follow what all wheels ask for; what is left out for nothing is a warning."""
    without = {one.distribution: one.without for one in staged.shipped.values() if one.distribution}
    named = [one for one in staged.wheels if _is_named(one)]
    try:
        found = follow((one.file for one in named), staged.python, without)
    except GateError as error:
        return Checked({"wheels": len(named)}, (Finding(GATE, "wheels/", error.what, _FIX),))
    return Checked(
        {"wheels": len(named), "requirements": found.held},
        tuple(Finding(GATE, "wheels/", text, _FIX) for text in found.missing),
        tuple(f"`without` leaves out {one}, which does not ask for it" for one in found.unused),
    )


def _is_named(archive: Archive) -> bool:
    try:
        parse_wheel_filename(archive.file.name)
    except InvalidWheelFilename:
        return False  # the gate `tags` tells it
    return True


def follow(
    wheels: Iterable[Path], python: Python, without: Mapping[str, Iterable[str]]
) -> Dependencies:
    """Return whether the wheels are all that they ask for.

    `without` names what a distribution's recipe leaves out: `cupy`, or an extra, `ray[cgraph]`.
    Raises GateError for a wheel that cannot be read.
    """
    known = {wheel.name: wheel for wheel in map(_read, wheels)}
    left_out = {canonicalize_name(name): _parsed(texts) for name, texts in without.items()}
    missing: list[str] = []
    waiting = [(wheel, "") for wheel in known.values()]
    held = 0
    met = set()
    while waiting:
        wheel, extra = waiting.pop()
        for text in wheel.requires:
            requirement = _requirement(text)
            if requirement is None or not _applies(requirement, python, extra):
                continue
            name = canonicalize_name(requirement.name)
            skipped = left_out.get(wheel.name, {}).get(name)
            if skipped is not None and not skipped:
                continue  # all of it, whatever the extras
            have = known.get(name)
            if have is None:
                missing.append(f"{wheel.name} {wheel.version} asks for {text}: it is not there")
                continue
            if not requirement.specifier.contains(have.version, prereleases=True):
                missing.append(f"{wheel.name} {wheel.version} asks for {text}: {have.version} is")
                continue
            held += 1
            met.add((str(wheel.name), str(name)))
            new = requirement.extras - (skipped or set()) - have.extras
            have.extras |= new
            waiting += [(have, one) for one in sorted(new)]
    unused = tuple(_unused(known, left_out))
    return Dependencies(held, unused, tuple(sorted(set(missing))), frozenset(met))


def _unused(
    known: Mapping[NormalizedName, _Wheel],
    left_out: Mapping[NormalizedName, Mapping[NormalizedName, set[str]]],
) -> Iterator[str]:
    """Yield what is left out of a wheel that does not ask for it, whatever its markers say."""
    for name, without in left_out.items():
        wheel = known.get(name)
        asked = {} if wheel is None else _parsed(wheel.requires)
        for other, extras in without.items():
            if other not in asked or not extras <= asked[other]:
                what = f"{other}[{','.join(sorted(extras))}]" if extras else other
                yield f"{what} of {name}"


def _applies(requirement: Requirement, python: Python, extra: str) -> bool:
    """Say whether a requirement counts: without an extra, or only because of that one."""
    if requirement.marker is None:
        return not extra
    try:
        return _marked(requirement.marker, python, extra)
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False  # pip cannot compare it either


def _marked(marker: Marker, python: Python, extra: str) -> bool:
    """Say whether a marker holds: for no extra, or because of this one."""
    with_extra = marker.evaluate({**python.markers(), "extra": extra})
    return with_extra and (not extra or not marker.evaluate({**python.markers(), "extra": ""}))


def _parsed(texts: Iterable[str]) -> dict[NormalizedName, set[str]]:
    """Return the names in requirements, each with all extras that are asked for of it."""
    found: dict[NormalizedName, set[str]] = {}
    for requirement in filter(None, map(_requirement, texts)):
        found.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    return found


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None  # pip passes over what it cannot read, too


def _read(wheel: Path) -> _Wheel:
    """Return what a wheel asks for. Raises GateError for one that cannot be read."""
    name, version, *_ = parse_wheel_filename(wheel.name)
    header = read_metadata(wheel)
    return _Wheel(name, version, [str(one) for one in header.get_all("Requires-Dist", [])])
