"""What wanted packages depend on, found without apt: for machines that have none.

Depends and Pre-Depends are followed, Recommends are not. Where there is a choice, the first
alternative that exists is taken, as apt does; a test holds the result against apt's own.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from strixforge.model.errors import FetchError
from strixforge.sources.apt.archive import Archive, Stanza, parsed

_RELATION = re.compile(
    r"\s*(?P<name>[a-z0-9][a-z0-9+.-]+)(?::\w+)?\s*"
    r"(?:\(\s*(?P<operator><<|<=|=|>=|>>)\s*(?P<version>\S+?)\s*\))?\s*(?:\[[^]]*\])?\s*(?:<[^>]*>)?\s*"
)


class Alternative(NamedTuple):
    """One package of a dependency such as `a (>= 2) | b`."""

    name: str
    operator: str
    version: str

    def accepts(self, version: str) -> bool:
        """Say whether a version satisfies it."""
        have, wanted = parsed(version), parsed(self.version or "0")
        results = {
            "": True,
            "<<": have < wanted,
            "<=": have <= wanted,
            "=": have == wanted,
            ">=": have >= wanted,
            ">>": have > wanted,
        }
        return bool(results[self.operator])


@dataclass(frozen=True, slots=True)
class Closure:
    """Packages by name and version, and what could not be found."""

    packages: dict[str, str]
    left: tuple[str, ...]
    """Dependencies that no repository has, sorted; empty unless they may be left."""


def closure(archive: Archive, wanted: Iterable[str], *, may_leave: bool) -> Closure:
    """Return the wanted packages and all that they depend on.

    With `may_leave`, dependencies that no repository has are left to the root. Raises FetchError.
    """
    search = _Search(archive)
    # As apt: all that is wanted is there before anything is chosen for it.
    for stanza, name in [(search.choose(name, "wanted"), name) for name in wanted]:
        search.follow(stanza, f"wanted -> {name}")
    if search.left and not may_leave:
        group, why = next(iter(search.left.items()))
        raise FetchError(
            f"no repository of the pin has {group}.",
            where=f"{why} -> {group}",
            fix="Add the repository that has it to the pin.",
        )
    return Closure(search.chosen, tuple(sorted(search.left)))


class _Search:
    """What has been chosen so far."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.chosen: dict[str, str] = {}
        self.left: dict[str, str] = {}
        """Dependency that nothing satisfies, to what wanted it."""

    def choose(self, name: str, why: str) -> Stanza:
        """Choose a package. Raises FetchError."""
        stanza = self._archive.candidate(name)
        if stanza is None:
            raise FetchError(
                f"no repository of the pin has the package {name}.",
                where=why,
                fix="Mend `packages` or `repositories` of the pin.",
            )
        self.chosen[name] = stanza.field("Version")
        return stanza

    def follow(self, stanza: Stanza, why: str) -> None:
        """Choose what a package depends on."""
        groups = [*parse(stanza.field("Pre-Depends")), *parse(stanza.field("Depends"))]
        # As apt: what leaves no choice first, so that a choice can fall on what is there already.
        for group in sorted(groups, key=lambda group: len(group) > 1):
            if any(self._has(one) for one in group):
                continue
            found = next(filter(None, (self._best(one) for one in group)), None)
            if found is not None:
                self.follow(self.choose(found, why), f"{why} -> {found}")
            else:
                self.left.setdefault(" | ".join(one.name for one in group), why)

    def _has(self, one: Alternative) -> bool:
        if one.name in self.chosen and one.accepts(self.chosen[one.name]):
            return True
        return any(
            package in self.chosen and _provides(one, version)
            for package, version in self._archive.providers(one.name)
        )

    def _best(self, one: Alternative) -> str | None:
        """Return the package that satisfies an alternative: itself, else one that provides it."""
        stanza = self._archive.candidate(one.name)
        if stanza is not None and one.accepts(stanza.field("Version")):
            return one.name
        offers = self._archive.providers(one.name)
        return min(
            (package for package, version in offers if _provides(one, version)), default=None
        )


def parse(text: str) -> list[list[Alternative]]:
    """Return the dependencies of a field: each a list of alternatives.

    One that cannot be read is a name that no repository has.
    """
    groups = filter(str.strip, text.split(","))
    return [[_alternative(one) for one in group.split("|")] for group in groups]


def _alternative(text: str) -> Alternative:
    match = _RELATION.fullmatch(text)
    if match is None:
        return Alternative(text.strip(), "", "")
    return Alternative(match["name"], match["operator"] or "", match["version"] or "")


def _provides(one: Alternative, version: str) -> bool:
    """Say whether a provided name satisfies: a bare one only where no version is asked for."""
    return not one.operator or (bool(version) and one.accepts(version))
