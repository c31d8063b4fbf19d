"""What the machine gives, what an importer has loaded, and exceptions: the data in system.toml."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from strixforge.gates.finding import Finding
from strixforge.gates.staged import Archive
from strixforge.model.loading import convert, read_toml


class Library(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Libraries of the machine, or a program that loads modules, and what they define."""

    names: tuple[str, ...]
    reason: str
    versions: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()

    def gives(self, name: str, version: str) -> bool:
        """Say whether it defines a symbol: of that version, or of none."""
        if version:
            return any(fnmatchcase(version, pattern) for pattern in self.versions)
        return any(fnmatchcase(name, pattern) for pattern in self.symbols)


class Importer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Libraries that are loaded by the import of another package."""

    names: tuple[str, ...]
    reason: str


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finding that is known and does no harm."""

    gate: str
    distribution: str
    what: str
    """A pattern of `file in the wheel: what was found`."""
    reason: str


class System(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    library: tuple[Library, ...]
    rocm: tuple[Library, ...]
    program: tuple[Library, ...]
    importer: tuple[Importer, ...]
    exception: tuple[Known, ...] = ()

    def find(self, soname: str, *, rocm: bool) -> Library | None:
        """Return the library of the machine that has this name; `rocm`: its ROCm counts too."""
        every = (*self.library, *(self.rocm if rocm else ()))
        return next((one for one in every if _matches(soname, one.names)), None)

    def is_imported(self, soname: str) -> bool:
        """Say whether an importer has loaded it."""
        return any(_matches(soname, one.names) for one in self.importer)

    def without_exceptions(
        self, archives: Iterable[Archive], findings: Iterable[Finding]
    ) -> tuple[list[Finding], int]:
        """Return the findings that no exception names, and how many were left out."""
        of_index = {one.path for one in archives if one.is_wheel and not one.component}
        kept, left = [], 0
        for finding in findings:
            path, _, inner = finding.where.partition(": ")
            name = canonicalize_name(path.rpartition("/")[2].partition("-")[0])
            text = f"{inner}: {finding.what}"
            known = path in of_index and any(
                one.gate == finding.gate
                and one.distribution == name
                and fnmatchcase(text, one.what)
                for one in self.exception
            )
            left += known
            kept += [] if known else [finding]
        return kept, left


@cache
def system() -> System:
    """Return what system.toml says."""
    file = Path(__file__).with_name("system.toml")
    return convert(read_toml(file), System, file=file, key="")


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
