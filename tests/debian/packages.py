"""Single packages of Debian's sid, fetched when they are asked for: real libraries to audit.

What the suite has now, by its signed index; so figures move with it.
"""

import os
from functools import cache
from pathlib import Path

from strixforge.model.errors import StrixforgeError
from strixforge.model.lock import load_lock
from strixforge.sources.apt.archive import Archive
from strixforge.sources.apt.mirrors import addresses
from strixforge.sources.apt.release import read_index
from strixforge.sources.cache import Cache
from strixforge.sources.http import download

HOME = Path(__file__).resolve().parents[2]
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strixforge"
_SUITE = "debian-sid"


def fetched(name: str) -> Path:
    """Return a package's file, from the cache or the first mirror that has it."""
    archive, mirror = _archive()
    package = archive.package(name)
    store = Cache(_CACHE)
    url = f"{mirror}/{package.path}"
    return download(url, package.sha256, store, lambda _done, _all: None, what=name)


@cache
def _archive() -> tuple[Archive, str]:
    repository = load_lock(HOME / "toolchain.lock").repositories[_SUITE]
    trouble: StrixforgeError | None = None
    for mirror in addresses(_SUITE, repository, ()):
        try:
            index = read_index(_SUITE, repository, mirror, allow_expired=True)
        except StrixforgeError as error:
            trouble = error
        else:
            return Archive([index]), mirror
    assert trouble is not None
    raise trouble
