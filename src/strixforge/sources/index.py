"""Files of the machine's own package index: sdists as sources, wheels as requirements.

Files are taken as files, through the simple API. No build backend runs here: `pip download` would
run one for an sdist, with the network on.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from strixforge.model.digests import document_digest
from strixforge.model.errors import FetchError
from strixforge.model.lock import IndexPin
from strixforge.plan.requirements import Locked
from strixforge.sources import Progress
from strixforge.sources.cache import Cache
from strixforge.sources.index_config import IndexConfig, as_url, index_config
from strixforge.sources.unpacking import unpack_archive


def digest(pin: IndexPin, home: Path) -> str:
    """Return the sdist's hash."""
    del home
    return f"sha256:{pin.sha256}"


def missing(pin: IndexPin, cache: Cache) -> bool:
    """Say whether the sdist must be downloaded."""
    return cache.find(pin.sha256) is None


def fetch(pin: IndexPin, cache: Cache, progress: Progress) -> None:
    """Download the sdist. Raises FetchError or IntegrityError."""
    if not missing(pin, cache):
        return
    from strixforge.sources.http import download

    config = index_config()
    what = f"{pin.name} {pin.version}"
    url = _files(pin.name, frozenset({pin.sha256}), config, what=what)[pin.sha256]
    download(url, pin.sha256, cache, progress, what=what, verify=config.verify)


def unpack(pin: IndexPin, cache: Cache, home: Path, target: Path) -> None:
    """Unpack the verified sdist into `target`. Raises ArchiveError or IntegrityError."""
    del home
    unpack_archive(cache.verified(pin.sha256, what=f"{pin.name} {pin.version}"), target)


def wheel_missing(locked: Locked, cache: Cache) -> bool:
    """Say whether a requirement's wheel must be downloaded."""
    choice = _choose(locked, cache)
    return choice is None or cache.find(choice[0]) is None


def fetch_wheel(locked: Locked, cache: Cache, progress: Progress) -> None:
    """Download the wheel of a requirement that fits this Python best. Raises FetchError."""
    if not wheel_missing(locked, cache):
        return
    from strixforge.sources.http import download

    config = index_config()
    what = f"{locked.name} {locked.version}"
    urls = _files(locked.name, locked.hashes, config, what=what)
    listing = {sha256: _name(url) for sha256, url in urls.items()}
    with cache.locked(_listing(locked, cache).name):
        staged = cache.partial(_listing(locked, cache).name)
        staged.write_text(json.dumps(listing, indent=1, sort_keys=True))
        _listing(locked, cache).parent.mkdir(parents=True, exist_ok=True)
        staged.rename(_listing(locked, cache))
    choice = _choose(locked, cache)
    if choice is None:
        raise FetchError(
            f"{what}: no locked wheel fits Python {sys.version_info[0]}.{sys.version_info[1]}.",
            where=f"files: {', '.join(sorted(listing.values())[:6])}",
            cause="Build requirements are taken as wheels; nothing is built while fetching.",
            fix="Use a Python that the wheels are made for, or ./doit lock with another version.",
        )
    download(urls[choice[0]], choice[0], cache, progress, what=what, verify=config.verify)


def wheel(locked: Locked, cache: Cache) -> tuple[str, Path]:
    """Return (file name, verified path) of a fetched wheel. Raises IntegrityError or FetchError."""
    choice = _choose(locked, cache)
    if choice is None:
        raise FetchError(f"{locked.name} {locked.version} is not fetched.", fix="./doit fetch")
    sha256, name = choice
    return name, cache.verified(sha256, what=name)


def _listing(locked: Locked, cache: Cache) -> Path:
    """Return where the file names of a requirement's hashes are kept.

    The names decide which wheel fits, so the choice is the same with and without a network.
    """
    key = document_digest([locked.name, locked.version, sorted(locked.hashes)])
    return cache.root / "listings" / f"{key}.json"


def _choose(locked: Locked, cache: Cache) -> tuple[str, str] | None:
    """Return (sha256, file name) of the best wheel for this Python, or None."""
    try:
        listing = json.loads(_listing(locked, cache).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    best: tuple[int, str, str] | None = None
    for sha256, name in listing.items():
        try:
            project, version, build, tags = parse_wheel_filename(name)
        except InvalidWheelFilename:
            continue
        if project != locked.name or str(version) != locked.version or build:
            continue
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if rank is not None and (best is None or (rank, name) < best[:2]):
            best = (rank, name, sha256)
    return (best[2], best[1]) if best else None


def _files(name: str, hashes: frozenset[str], config: IndexConfig, *, what: str) -> dict[str, str]:
    """Return the addresses of those hashes, by hash. Raises FetchError when none is offered."""
    import requests

    found: dict[str, str] = {}
    troubles: list[str] = []
    for index in config.indexes:
        if hashes <= found.keys():
            break
        try:
            found.update(dict(_offered(index, name, hashes, config)))
        except requests.RequestException as error:
            troubles.append(f"{urlsplit(index).netloc or index}: {type(error).__name__}")
    if not found:
        raise FetchError(
            f"{what}: no package index of this machine offers the locked file.",
            where=f"{len(config.indexes)} configured; {'; '.join(troubles) or 'all answered'}",
            cause="No network, an index without this file, or a version that was removed."
            if troubles
            else "The version was removed from the index, or the lock is wrong.",
            fix="Check the machine's pip or uv configuration and network, then ./doit fetch",
        )
    return found


def _offered(
    index: str, name: str, hashes: frozenset[str], config: IndexConfig
) -> Iterator[tuple[str, str]]:
    """Yield (sha256, address) for each wanted file that one index lists."""
    from pypi_simple import NoSuchProjectError, ProjectPage, PyPISimple

    from strixforge.sources.http import session

    index = as_url(index)
    try:
        if urlsplit(index).scheme == "file":
            base = urljoin(index.rstrip("/") + "/", f"{canonicalize_name(name)}/index.html")
            page = ProjectPage.from_html(
                name, Path(unquote(urlsplit(base).path)).read_bytes(), base_url=base
            )
        else:
            page = PyPISimple(index, session=session(config.verify)).get_project_page(
                name, timeout=(20, 60)
            )
    except (NoSuchProjectError, FileNotFoundError):
        return
    for package in page.packages:
        sha256 = package.digests.get("sha256")
        if sha256 in hashes:
            yield sha256, package.url


def _name(url: str) -> str:
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])
