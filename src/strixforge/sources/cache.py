"""The download cache: files by sha256, shared by all clones, verified at every use."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strixforge.model.digests import file_sha256
from strixforge.model.errors import IntegrityError


class Cache:
    """Files under `<root>/sha256/<hash>/<file name>`; unfinished downloads in `<root>/partial`."""

    def __init__(self, root: Path, mirror: Path | None = None) -> None:
        """Make no folder yet: a plan reads only.

        `mirror` is a folder of the same form that is only read: what is not here may be there.
        """
        self.root = root
        self.mirror = mirror

    def find(self, sha256: str) -> Path | None:
        """Return the cached file of that hash, not yet verified, or None."""
        for root in (self.root, self.mirror):
            if root is not None:
                try:
                    return next((root / "sha256" / sha256).iterdir(), None)
                except FileNotFoundError:
                    continue
        return None

    def verified(self, sha256: str, *, what: str) -> Path:
        """Return the cached file after hashing it.

        Raises IntegrityError when its bytes changed; the next fetch brings a good one.
        """
        path = self.find(sha256)
        if path is None:
            raise IntegrityError(
                f"{what} is not in the download cache.",
                where=str(self._folder(sha256)),
                cause="The cache was emptied after the download.",
                fix="./doit fetch",
            )
        found = file_sha256(path)
        if found != sha256:
            raise IntegrityError(
                f"{what} has changed in the download cache.",
                where=str(path),
                cause=f"Its sha256 is {found}, the lock says {sha256}.",
                fix=f"rm -r '{path.parent}' && ./doit fetch",
            )
        return path

    def keep(self, sha256: str) -> None:
        """Put a file into the mirror too, by a hard link where that can be."""
        source = self.root / "sha256" / sha256
        if self.mirror is None or not source.is_dir():
            return
        target = self.mirror / "sha256" / sha256
        if target.exists():
            return
        staged = target.with_name(f".{sha256}.{os.getpid()}")
        staged.mkdir(parents=True)
        for file in source.iterdir():
            try:
                os.link(file, staged / file.name)
            except OSError:  # another file system
                shutil.copy2(file, staged / file.name)
        staged.rename(target)

    def add(self, partial: Path, sha256: str, name: str) -> Path:
        """Move a finished, verified download into its place, atomically."""
        folder = self._folder(sha256)
        staged = partial.with_suffix(".done")
        if staged.exists():
            shutil.rmtree(staged)
        staged.mkdir(parents=True)
        partial.rename(staged / name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            shutil.rmtree(staged)  # someone else was first with the same bytes
        return next(folder.iterdir())

    def partial(self, name: str) -> Path:
        """Return the place of an unfinished download."""
        folder = self.root / "partial"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the cache's lock of that name: one download of one thing at a time."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _folder(self, sha256: str) -> Path:
        return self.root / "sha256" / sha256
