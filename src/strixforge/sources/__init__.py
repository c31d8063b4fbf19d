"""Where sources come from: one module a kind, the same functions in each.

Every kind has `digest` (what the key document knows of the pin), `missing` (is a download needed),
`fetch` (the only function that uses the network) and `unpack` (verified, into an empty folder).
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from strixforge.model.errors import HostError
from strixforge.model.lock import ArchivePin, GitPin, IndexPin, LocalPin, Pin
from strixforge.sources.cache import Cache

Progress = Callable[[int, int | None], None]
"""Called with bytes done and bytes in all, where known."""


class Kind(Protocol):
    """The functions of a source kind."""

    def digest(self, pin: Pin, home: Path) -> str:
        """Return what of the source goes into the key document."""

    def missing(self, pin: Pin, cache: Cache) -> bool:
        """Say whether `fetch` would use the network."""

    def fetch(self, pin: Pin, cache: Cache, progress: Progress) -> None:
        """Bring the source into the cache, verified."""

    def unpack(self, pin: Pin, cache: Cache, home: Path, target: Path) -> None:
        """Verify the cached source and lay it out in the empty folder `target`."""


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
    return cast(Kind, module)
