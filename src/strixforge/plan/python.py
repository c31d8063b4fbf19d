"""The stack's Python: what wheels and requirement markers are chosen for."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from packaging.tags import Tag, compatible_tags, cpython_tags, sys_tags

from strixforge.model.errors import DataError, IntegrityError, UnpinnedError
from strixforge.model.packages import load_packages
from strixforge.model.pins import AptPin

# Names that manylinux tags had before glibc's number was in them (PEP 600).
_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True)
class Python:
    """A CPython on x86_64: the running one, or that of a root."""

    version: str
    """Whole version, such as 3.13.5."""
    glibc: tuple[int, int] | None = None
    """Version of the root's glibc; None for the running Python, which knows its own."""

    @property
    def short(self) -> str:
        """Major and minor version, such as 3.13."""
        return ".".join(self.version.split(".")[:2])

    def tags(self) -> tuple[Tag, ...]:
        """Return the tags of wheels that it can use, the best first."""
        return _tags(self)

    def markers(self) -> dict[str, str]:
        """Return what environment markers of requirements are evaluated against (PEP 508)."""
        return {
            "python_version": self.short,
            "python_full_version": self.version,
            "implementation_version": self.version,
        }


def running() -> Python:
    """Return the Python that runs strixforge: the stack's with root=host."""
    return Python(".".join(map(str, sys.version_info[:3])))


def root_python(home: Path, pin: AptPin) -> Python:
    """Return the Python of a root, as its list of packages says.

    Raises DataError when the root has none; before it is locked, the running one stands in.
    """
    try:
        packages = load_packages(home, pin)
    except (DataError, IntegrityError, UnpinnedError):
        return running()  # `doit lock` must run; nothing is built before it has
    name = f"python{pin.python or 3}"
    python, libc = packages.find(name), packages.find("libc6")
    if python is None or libc is None:
        raise DataError(
            f"the root {pin.component} has no {name if python is None else 'libc6'}.",
            where=f"{home / 'toolchain.lock'}: root ({pin.component}).packages",
            cause="Builds run under the root's own Python.",
            fix=f"Add {name} to its packages, then: ./doit lock",
        )
    glibc = re.match(r"(\d+)\.(\d+)", libc.version)
    version = re.match(r"(?:\d+:)?(\d+\.\d+(?:\.\d+)?)", python.version)
    if glibc is None or version is None:
        raise DataError(
            f"the versions of {python} and {libc} cannot be read.",
            where=f"{home / 'toolchain.lock'}: root ({pin.component})",
        )
    return Python(version[1], (int(glibc[1]), int(glibc[2])))


@lru_cache(maxsize=4)
def _tags(python: Python) -> tuple[Tag, ...]:
    if python.glibc is None:
        return tuple(sys_tags())
    major, minor = (int(part) for part in python.short.split("."))
    platforms = list(_platforms(python.glibc))
    interpreter = f"cp{major}{minor}"
    return (
        *cpython_tags((major, minor), platforms=platforms),
        *compatible_tags((major, minor), interpreter, platforms),
    )


def _platforms(glibc: tuple[int, int]) -> Iterator[str]:
    yield "linux_x86_64"
    for minor in range(glibc[1], 4, -1):
        yield f"manylinux_2_{minor}_x86_64"
        if minor in _OLD_NAMES:
            yield f"{_OLD_NAMES[minor]}_x86_64"
