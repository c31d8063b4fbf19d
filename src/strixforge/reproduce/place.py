"""The folder in which a stack is built again: a project, an empty store, a home, and no cache.

project/  the files that a build depends on; its build/ is where the second build works
store/    what is not built again, by links into the first store; the rest is built
cache/    links to the downloads; the compiler caches are its own, and empty
home/     empty
"""

import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from strixforge.forge.prepare import remove_tree
from strixforge.project_copy import copy_project
from strixforge.store.store import Record, Store

# Not ccache: what the first build compiled must not come back.
_DOWNLOADS = ("sha256", "git", "listings", "host", "toolchains", "partial", "locks")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the second build's things lie."""

    root: Path

    @property
    def project(self) -> Path:
        """The folder of dodo.py."""
        return self.root / "project"

    @property
    def store(self) -> Store:
        """The second store."""
        return Store(self.root / "store")

    @property
    def cache(self) -> Path:
        """The download cache as the second build sees it."""
        return self.root / "cache"

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.root / "home"

    def wheelhouse(self, stack: str) -> Path:
        """Return the folder of the second wheelhouse."""
        return self.project / "build" / "wheelhouse" / stack

    def built(self, stack: str, name: str) -> str:
        """Return the key that a component was built to."""
        state = self.project / "build" / "state" / stack / f"{name}.json"
        return str(json.loads(state.read_text())["key"])


def lay_out(place: Place, home: Path, sources: Iterable[str], cache: Path) -> None:
    """Make the place anew, with a copy of the project at `home`.

    `sources` are the folders of this repository that components are made from.
    """
    _remove(place.root.parent)  # of an earlier run, with what was said of its differences
    for folder in (place.project, place.home, place.cache, place.store.root):
        folder.mkdir(parents=True)
    copy_project(home, place.project, sources)
    for name in _DOWNLOADS:
        (cache / name).mkdir(parents=True, exist_ok=True)
        (place.cache / name).symlink_to((cache / name).resolve())


def lend(place: Place, store: Store, record: Record) -> None:
    """Put a component into the second store that is not built again: its files stay where they are.

    Builds see them read-only, and every use hashes them.
    """
    records = place.store.root / "records"
    records.mkdir(exist_ok=True)
    shutil.copy2(store.root / "records" / f"{record.key}.json", records)
    there = place.store.root / "objects" / record.output
    there.mkdir(parents=True, exist_ok=True)
    for name in ("tree", "manifest.json"):
        if not (there / name).is_symlink():
            (there / name).symlink_to((store.root / "objects" / record.output / name).resolve())


def keep_only(place: Place, outputs: set[str], wheelhouse: str | None) -> Path | None:
    """Free the disk of all but some outputs, and the wheelhouse of the stack that is named, if any.

    Returns where that wheelhouse is from now on.
    """
    kept = None
    if wheelhouse is not None:
        kept = place.wheelhouse(wheelhouse).rename(place.root / "wheelhouse")
    for folder in (place.project, place.home, place.cache):
        _remove(folder)
    for output in place.store.objects():
        if output not in outputs:
            _remove(place.store.root / "objects" / output)
    return kept


def discard(place: Place) -> None:
    """Remove the place."""
    _remove(place.root)


def _remove(folder: Path) -> None:
    """Remove a folder, also while processes that were killed just now still write there."""
    for _ in range(50):
        try:
            if folder.exists():
                remove_tree(folder)
        except OSError:
            time.sleep(0.1)
        else:
            return
    remove_tree(folder)
