"""Where the files of wheels and prefixes lie once installed, and what a path finds there.

Below one PREFIX: env/ is the Python environment, and beside it lies each prefix or toolchain under
its component's name.
"""

import posixpath
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from strixforge.gates.staged import Archive, Member

SITE = PurePosixPath(f"env/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
"""Where wheels are installed, relative to PREFIX. Another Python's is as deep."""
# Where the folders of <name>.data in a wheel are installed.
_DATA = {
    "platlib": SITE,
    "purelib": SITE,
    "scripts": PurePosixPath("env/bin"),
    "data": PurePosixPath("env"),
}
_MOST_LINKS = 40  # as the kernel follows


def installed(path: Path | PurePosixPath, base: PurePosixPath) -> PurePosixPath:
    """Return where a file of a wheel or prefix lies below PREFIX."""
    parts = path.parts
    if parts and parts[0].endswith(".data") and len(parts) > 2 and parts[1] in _DATA:
        return _DATA[parts[1]].joinpath(*parts[2:])
    return base.joinpath(*parts)


@dataclass(frozen=True, slots=True)
class Placed:
    """One file, in its archive and where it is installed."""

    archive: Archive
    member: Member
    place: str
    """Relative to PREFIX."""

    @property
    def where(self) -> str:
        """Return how findings name it."""
        return f"{self.archive.path}: {self.member.name}"


class Layout:
    """Everything that a wheelhouse installs, by its path below PREFIX."""

    def __init__(self, archives: Iterable[Archive]) -> None:
        """Place every file of the archives."""
        self.files: dict[str, Placed] = {}
        self._links: dict[str, str] = {}
        for archive in archives:
            base = SITE if archive.is_wheel else PurePosixPath(archive.component)
            for member in archive.members:
                place = posixpath.normpath(installed(PurePosixPath(member.name), base).as_posix())
                if member.link:
                    folder = posixpath.dirname(place)
                    self._links[place] = posixpath.normpath(f"{folder}/{member.link}")
                else:
                    self.files.setdefault(place, Placed(archive, member, place))

    def find(self, path: str) -> Placed | None:
        """Return the file at a path below PREFIX, links followed."""
        path = posixpath.normpath(path)
        for _ in range(_MOST_LINKS):
            if path in self.files:
                return self.files[path]
            parts = path.split("/")
            heads = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
            link = next((head for head in heads if head in self._links), None)
            if link is None:
                return None
            path = posixpath.normpath(self._links[link] + path[len(link) :])
        return None
