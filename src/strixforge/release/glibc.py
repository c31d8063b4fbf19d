"""How new the machine's C and C++ libraries must be for the libraries of a wheelhouse."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from strixforge.gates.dynamic import Dynamic
from strixforge.gates.staged import Archive

_NUMBERS = r"(\d{1,4}(?:\.\d{1,4}){1,3})"
# By the name before the underscore: whose versions they are, and how many numbers count.
_FAMILIES = {"GLIBC": ("", 2), "GLIBCXX": ("libstdc++.so.6", 3), "CXXABI": ("libstdc++.so.6", 3)}


@dataclass(frozen=True, slots=True)
class Highest:
    """The oldest version under which every library can be loaded."""

    version: str
    """Such as 2.38; empty when no library needs one."""
    file: str
    """One library that needs it, such as `prefixes/rocm-6.4.4.tar: lib/libx.so`; else empty."""


def highest(archives: Iterable[Archive], family: str) -> Highest:
    """Return the highest version of `GLIBC`, `GLIBCXX` or `CXXABI` that a library needs.

    Of several libraries the first by archive and name is named.
    """
    top: tuple[int, ...] = ()
    named = ""
    for archive in sorted(archives, key=lambda one: one.path):
        for member in sorted(archive.members, key=lambda one: one.name):
            found = needed(member.dynamic, family) if member.dynamic else ()
            if found > top:
                top, named = found, f"{archive.path}: {member.name}"
    return Highest(".".join(map(str, top)), named)


def needed(dynamic: Dynamic, family: str) -> tuple[int, ...]:
    """Return the version of a family that one library needs, such as (2, 38); empty for none."""
    library, count = _FAMILIES[family]
    found: list[tuple[int, ...]] = []
    for one in dynamic.versions:
        match = re.fullmatch(f"{family}_{_NUMBERS}", one.name)
        if one.weak or (library and one.library != library):
            continue
        if match is not None:
            found.append(tuple(map(int, match[1].split(".")))[:count])
        elif family == "GLIBC" and one.name == "GLIBC_ABI_DT_RELR":
            found.append((2, 36))  # the mark of packed relocations: glibc 2.36, NEWS
    return max(found, default=())
