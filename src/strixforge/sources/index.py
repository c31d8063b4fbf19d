"""Files of the machine's own package index: sdists and wheels as sources, wheels as requirements.

Files are taken as files, through the simple API. No build backend runs here: `pip download` would
run one for an sdist, with the network on.
"""

import json
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from strixforge.model.digests import document_digest
from strixforge.model.errors import FetchError
from strixforge.model.pins import IndexPin, same_version
from strixforge.plan.python import Python
from strixforge.plan.requirements import Locked
from strixforge.sources import Progress, Site
from strixforge.sources.cache import Cache
from strixforge.sources.index_config import index_config
from strixforge.sources.unpacking import file_digest, unpack_archive


def digest(pin: IndexPin, site: Site) -> str:
    """Return the file's hash, and what of it is taken."""
    del site
    return file_digest(pin.sha256, pin.only)


def missing(pin: IndexPin, site: Site) -> bool:
    """Say whether the file must be downloaded."""
    return site.cache.find(pin.sha256) is None


def fetch(pin: IndexPin, site: Site, progress: Progress) -> None:
    """Download the file. Raises FetchError or IntegrityError."""
    if not missing(pin, site):
        return
    from strixforge.sources.http import download
    from strixforge.sources.offers import addresses

    config = index_config()
    what = f"{pin.name} {pin.version}"
    wanted = Locked(canonicalize_name(pin.name), pin.version, frozenset({pin.sha256}))
    url = addresses(wanted, config)[pin.sha256]
    download(url, pin.sha256, site.cache, progress, what=what, verify=config.verify)


def unpack(pin: IndexPin, site: Site, target: Path) -> None:
    """Unpack the verified file into `target`. Raises ArchiveError or IntegrityError."""
    file = site.cache.verified(pin.sha256, what=f"{pin.name} {pin.version}")
    unpack_archive(file, target, only=pin.only)


def wheel_missing(locked: Locked, python: Python, cache: Cache) -> bool:
    """Say whether a requirement's wheel must be downloaded."""
    choice = _choose(locked, python, cache)
    return choice is None or cache.find(choice[0]) is None


def fetch_wheel(locked: Locked, python: Python, cache: Cache, progress: Progress) -> None:
    """Download the wheel of a requirement that fits the Python best. Raises FetchError."""
    if not wheel_missing(locked, python, cache):
        return
    from strixforge.sources.http import download, file_name
    from strixforge.sources.offers import addresses

    config = index_config()
    what = f"{locked.name} {locked.version}"
    urls = addresses(locked, config)
    listing = {sha256: file_name(url) for sha256, url in urls.items()}
    with cache.locked(_listing(locked, cache).name):
        staged = cache.partial(_listing(locked, cache).name)
        staged.write_text(json.dumps(listing, indent=1, sort_keys=True))
        _listing(locked, cache).parent.mkdir(parents=True, exist_ok=True)
        staged.rename(_listing(locked, cache))
    choice = _choose(locked, python, cache)
    if choice is None:
        raise FetchError(
            f"{what}: no locked wheel fits Python {python.short}.",
            where=f"files: {', '.join(sorted(listing.values())[:6])}",
            cause="Build requirements are taken as wheels; nothing is built while fetching.",
            fix="Use a Python that the wheels are made for, or ./doit lock with another version.",
        )
    download(urls[choice[0]], choice[0], cache, progress, what=what, verify=config.verify)


def wheel(locked: Locked, python: Python, cache: Cache) -> tuple[str, Path]:
    """Return (file name, verified path) of a fetched wheel. Raises IntegrityError or FetchError."""
    choice = _choose(locked, python, cache)
    if choice is None:
        raise FetchError(
            f"no wheel of {locked.name} {locked.version} is in the download cache.",
            where=str(cache.root),
            cause="It was not fetched yet, or for another Python.",
            fix="./doit fetch",
        )
    sha256, name = choice
    return name, cache.verified(sha256, what=name)


def _listing(locked: Locked, cache: Cache) -> Path:
    """Return where the file names of a requirement's hashes are kept.

    The names decide which wheel fits, so the choice is the same with and without a network.
    """
    key = document_digest([locked.name, locked.version, sorted(locked.hashes)])
    return cache.root / "listings" / f"{key}.json"


def _choose(locked: Locked, python: Python, cache: Cache) -> tuple[str, str] | None:
    """Return (sha256, file name) of the best wheel for that Python, or None."""
    try:
        listing = json.loads(_listing(locked, cache).read_text())
        names = [(str(listing[sha256]), sha256) for sha256 in locked.hashes & listing.keys()]
    except (OSError, ValueError, AttributeError, RecursionError):
        return None  # absent or damaged: it is written anew
    ranks = {tag: rank for rank, tag in enumerate(python.tags())}
    fitting = []
    for name, sha256 in names:
        try:
            project, version, build, tags = parse_wheel_filename(name)
        except InvalidWheelFilename:
            continue
        if project != locked.name or not same_version(str(version), locked.version):
            continue
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if rank is not None:
            number, letters = build or (-1, "")
            fitting.append((rank, -number, letters, name, sha256))
    if not fitting:
        return None
    *_, name, sha256 = min(fitting)
    return sha256, name
