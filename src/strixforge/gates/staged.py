"""A staged wheelhouse as the gates see it: every archive, read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from strixforge.gates.dynamic import Dynamic
from strixforge.plan.python import Python


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a wheel or prefix."""

    name: str
    size: int
    sha256: str
    """Empty in a toolchain, whose files nobody compares."""
    dynamic: Dynamic | None = None
    """What the dynamic loader reads of it, when it is a library or program for this machine."""
    problem: str = ""
    """Why it could not be read, if it could not."""
    link: str = ""
    """Where a symbolic link leads; it has no contents then."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One wheel, or the tar of one prefix or toolchain."""

    path: str
    """Relative to the wheelhouse: `wheels/a-1-py3-none-any.whl`."""
    file: Path
    sha256: str
    component: str
    """What was built to it; empty for a wheel of the index."""
    as_it_came: bool
    """Whether it is a release that no step of ours made."""
    is_toolchain: bool
    """Whether its files, libraries among them, are handed over unchanged."""
    members: tuple[Member, ...]
    problem: str = ""
    """Why it could not be read, if it could not."""

    @property
    def is_wheel(self) -> bool:
        """Say whether it is a wheel."""
        return self.path.endswith(".whl")

    @property
    def base(self) -> PurePosixPath:
        """Where a prefix is installed, below PREFIX."""
        return PurePosixPath(self.component)


@dataclass(frozen=True, slots=True)
class Shipped:
    """What the plan says of a component whose output is in the wheelhouse."""

    distribution: str
    """Of the wheel that it becomes; empty for a prefix."""
    licence: str
    without: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Staged:
    """All that the gates look at."""

    archives: tuple[Archive, ...]
    """Wheels, those of tools/ too, and prefixes."""
    shipped: Mapping[str, Shipped]
    """By component."""
    python: Python
    arch: str
    system_rocm: bool
    """Whether ROCm's libraries are those of the machine, and so not in the wheelhouse."""

    @property
    def wheels(self) -> list[Archive]:
        """Return the wheels that can be read and are installed together: not pip, in tools/."""
        return [one for one in self.readable if one.path.startswith("wheels/")]

    @property
    def readable(self) -> list[Archive]:
        """Return what could be read; the gate `record` tells of the rest."""
        return [one for one in self.archives if not one.problem]
