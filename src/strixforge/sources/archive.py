"""Archives at a URL, known by their sha256."""

from pathlib import Path

from strixforge.model.errors import FetchError
from strixforge.model.pins import ArchivePin
from strixforge.sources import Progress, Site
from strixforge.sources.http import download
from strixforge.sources.unpacking import file_digest, unpack_archive


def digest(pin: ArchivePin, site: Site) -> str:
    """Return the archive's hash, and what of it is taken."""
    del site
    return file_digest(pin.sha256, pin.only)


def missing(pin: ArchivePin, site: Site) -> bool:
    """Say whether the archive must be downloaded."""
    return site.cache.find(pin.sha256) is None


def fetch(pin: ArchivePin, site: Site, progress: Progress) -> None:
    """Download the archive from the first address that has it.

    Raises FetchError with all that were tried, or IntegrityError for other bytes.
    """
    what = f"{pin.component} {pin.version}"
    trouble: list[FetchError] = []
    for url in (pin.url, *pin.also):
        try:
            download(url, pin.sha256, site.cache, progress, what=what)
        except FetchError as error:
            trouble.append(error)
        else:
            return
    first = trouble[0]
    if len(trouble) > 1:
        first.where = "\n".join(f"{error.where}: {error.what}" for error in trouble)
        first.what = f"{what} is at none of its {len(trouble)} addresses."
    raise first


def unpack(pin: ArchivePin, site: Site, target: Path) -> str:
    """Unpack the verified archive into `target`; return the name of its top folder.

    Raises ArchiveError or IntegrityError.
    """
    what = f"{pin.component} {pin.version}"
    return unpack_archive(site.cache.verified(pin.sha256, what=what), target, only=pin.only)
