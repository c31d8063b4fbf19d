"""Where sources come from: one module a kind, the same functions in each.

Every kind has `digest` (what the key document knows of the pin), `missing` (is a download needed),
`fetch` (the only function that uses the network) and `unpack` (verified, into an empty folder).
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from strixforge.model.errors import HostError
from strixforge.model.pins import (
    AptPin,
    ArchivePin,
    GitPin,
    IndexPin,
    LocalPin,
    Pin,
    SystemPin,
)
from strixforge.model.repository import Repository
from strixforge.sources.cache import Cache

Progress = Callable[[int, int | None], None]
"""Called with bytes done and bytes in all, where known."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a source is taken from and through, beside its pin."""

    home: Path
    """The folder of dodo.py: local sources and lists of packages lie there."""
    cache: Cache
    repositories: Mapping[str, Repository] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    """Addresses of Debian's or Ubuntu's mirrors that the user named."""
    root: Path = Path("/")
    """The file system that builds see; only a system source lies there."""


class Kind(Protocol):
    """The functions of a source kind."""

    def digest(self, pin: Pin, site: Site) -> str:
        """Return what of the source goes into the key document."""

    def missing(self, pin: Pin, site: Site) -> bool:
        """Say whether `fetch` would use the network."""

    def fetch(self, pin: Pin, site: Site, progress: Progress) -> None:
        """Bring the source into the cache, verified."""

    def unpack(self, pin: Pin, site: Site, target: Path) -> str | None:
        """Verify the cached source and lay it out in the empty folder `target`.

        Returns the name of an archive's top folder, where it had one: that may name a release.
        """


def kind_of(pin: Pin) -> Kind:
    """Return the module for the kind of `pin`; each is imported when first needed."""
    module: ModuleType
    match pin:
        case GitPin():
            if shutil.which("git") is None:
                raise HostError(
                    "git is not installed.",
                    where=f"PATH={os.environ.get('PATH', '')}",
                    cause=f"{pin.component} is pinned to a commit.",
                    fix="apt install git",
                )
            from strixforge.sources import git as module
        case ArchivePin():
            from strixforge.sources import archive as module
        case IndexPin():
            from strixforge.sources import index as module
        case LocalPin():
            from strixforge.sources import local as module
        case AptPin():
            from strixforge.sources import apt as module
        case SystemPin():
            from strixforge.sources import system as module
    return cast(Kind, module)
