"""Many packages into one tree: each unpacked by itself, then moved together.

Alone in its folder, no package can write through a link of another one. Two packages may share
folders, and a file only when it is the same.
"""

import os
import shutil
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path, PurePosixPath

from strixforge.model.digests import file_sha256
from strixforge.model.errors import ArchiveError
from strixforge.sources.apt.deb import unpack_deb
from strixforge.sources.unpacking import Guard, check_links

_MAX_BYTES = 60 * 1024**3  # of one unpacked package; rocBLAS with all targets has 4 GB
_MAX_MEMBERS = 500_000
# Since 2012 and for good since 2023 these are links into /usr; older packages still write there.
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


class RootGuard(Guard):
    """Lets links begin at the root, and makes them relative: the tree is not at / while it lies."""

    def symlink(self, path: PurePosixPath, target: str) -> str:
        """Return the target, relative to where the link's folder will be."""
        if not target.startswith("/"):
            return super().symlink(path, target)
        super().symlink(path, _relative(path, target))
        merged = len(path.parts) > 1 and path.parts[0] in _MERGED
        return _relative("usr" / path if merged else path, target)


def _relative(path: PurePosixPath, target: str) -> str:
    """Return an absolute target as seen from a link, by the shortest way.

    A way through the root would not be true any more when a folder becomes the top.
    """
    here, there = path.parent.parts, PurePosixPath(target.lstrip("/")).parts
    pairs = zip(here, there, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return "/".join((*[".."] * (len(here) - same), *there[same:])) or "."


def unpack_packages(
    files: Sequence[tuple[str, Path]], target: Path, *, folder: str | None = None
) -> None:
    """Unpack .deb files, each (name and version, path), into the empty folder `target`.

    With `folder`, only what lies below it is kept, and that becomes the top. Raises ArchiveError.
    """
    work = target.parent / (target.name + ".unpacking")
    shutil.rmtree(work, ignore_errors=True)
    places = [work / str(number) for number in range(len(files))]

    def one(number: int) -> None:
        places[number].mkdir(parents=True)
        name, path = files[number]
        unpack_deb(path, places[number], RootGuard(name, _MAX_BYTES, _MAX_MEMBERS))

    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        list(pool.map(one, range(len(files))))
    finally:
        pool.shutdown(cancel_futures=True)
    whole = work / "whole"
    whole.mkdir(parents=True)
    for (name, _), place in zip(files, places, strict=True):
        _merge_usr(place, name)
        _move(place, whole, name)
    check_links(whole, "the tree of all packages")  # before a folder is looked for through them
    top = Path(os.path.realpath(whole / (folder or ".")))
    if not top.is_dir():
        raise ArchiveError(
            f"the packages have no folder {folder}.",
            where=", ".join(name for name, _ in files[:6]),
            cause="The pin names another one than the packages are made for.",
            fix="Mend `folder` of the pin.",
        )
    for name in _MERGED if folder is None else ():
        if (whole / "usr" / name).is_dir() and not os.path.lexists(whole / name):
            (whole / name).symlink_to(f"usr/{name}")
    # Under a name that no link can guess: one that leaves the folder cannot come back in by it.
    top = top.rename(work / uuid.uuid4().hex)
    check_links(top, folder or "the tree of all packages")
    for entry in sorted(top.iterdir()):
        entry.rename(target / entry.name)
    shutil.rmtree(work)


def _merge_usr(place: Path, package: str) -> None:
    """Move what an older package has in /lib and its like to where the links lead."""
    for name in _MERGED:
        if _is_folder(place / name):
            for folder in ("usr", f"usr/{name}"):
                if os.path.lexists(place / folder) and not _is_folder(place / folder):
                    raise ArchiveError(
                        f"{package} has files in /{name}, and its {folder} is no folder.",
                        where=str(place / folder),
                        cause="What is moved there could land outside.",
                        fix="Do not use this package. Report it to where it came from.",
                    )
                (place / folder).mkdir(exist_ok=True)
            _move(place / name, place / "usr" / name, package)
            shutil.rmtree(place / name)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _move(source: Path, target: Path, package: str) -> None:
    """Move all that `source` holds into `target`. Raises ArchiveError where two packages differ."""
    for name in sorted(os.listdir(source)):  # noqa: PTH208 - thousands of folders
        entry, place = source / name, target / name
        if not os.path.lexists(place):
            entry.rename(place)
        elif _is_folder(entry) and _is_folder(place):
            _move(entry, place, package)
        elif not _same(entry, place):
            raise ArchiveError(
                f"two packages have a different {place.name}.",
                where=f"{package}: {place}",
                cause="Their maintainer scripts would divert one, and no script is run here.",
                fix="Leave one of the two packages out of the pin.",
            )


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return (
            one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)  # noqa: PTH115 - its text
        )
    both = one.is_file() and other.is_file()
    modes = both and (one.stat().st_mode ^ other.stat().st_mode) & 0o100 == 0
    return modes and file_sha256(one) == file_sha256(other)
