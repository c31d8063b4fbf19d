"""Archives at a URL, known by their sha256."""

from pathlib import Path

from strixforge.model.lock import ArchivePin
from strixforge.sources import Progress
from strixforge.sources.cache import Cache
from strixforge.sources.http import download
from strixforge.sources.unpacking import unpack_archive


def digest(pin: ArchivePin, home: Path) -> str:
    """Return the archive's hash."""
    del home  # only local sources lie there
    return f"sha256:{pin.sha256}"


def missing(pin: ArchivePin, cache: Cache) -> bool:
    """Say whether the archive must be downloaded."""
    return cache.find(pin.sha256) is None


def fetch(pin: ArchivePin, cache: Cache, progress: Progress) -> None:
    """Download the archive. Raises FetchError or IntegrityError."""
    download(pin.url, pin.sha256, cache, progress, what=f"{pin.component} {pin.version}")


def unpack(pin: ArchivePin, cache: Cache, home: Path, target: Path) -> None:
    """Unpack the verified archive into `target`. Raises ArchiveError or IntegrityError."""
    del home
    unpack_archive(cache.verified(pin.sha256, what=f"{pin.component} {pin.version}"), target)
