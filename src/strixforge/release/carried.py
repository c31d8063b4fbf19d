"""Reads a wheelhouse that came from elsewhere: a folder, or a bundle where it lies.

Nothing of it is unpacked, and nothing in it is believed yet.
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from strixforge.model.digests import file_sha256
from strixforge.model.errors import IntegrityError, UsageError
from strixforge.release.bundle import Hashed, file_member, folder_member, tar_onto
from strixforge.release.sums import SUMS

COPY = "Copy it again from where it was made."


class Carried(Protocol):
    """A wheelhouse, wherever it lies."""

    where: Path

    def digests(self) -> dict[str, str]:
        """Return the sha256 of every file, by path. Raises IntegrityError for what is no file."""

    def open(self, path: str) -> IO[bytes]:
        """Open one of its files, to read it in any order."""


@contextmanager
def carried(where: Path) -> Iterator[Carried]:
    """Give what reads a wheelhouse or a bundle. Raises UsageError for anything else."""
    if (where / SUMS).is_file():
        yield _Folder(where)
        return
    if where.is_file():
        with where.open("rb") as file:
            yield _Bundle(where, file)
        return
    raise UsageError(
        "that is neither a wheelhouse nor a bundle.",
        where=f"path={where}",
        cause=f"A wheelhouse is a folder with {SUMS} in it, a bundle a plain tar of one.",
        fix="./doit bundle    (writes one)",
    )


def changed(where: Path, what: str, *, cause: str = "") -> IntegrityError:
    """Return the error for a wheelhouse that is not as it was made."""
    return IntegrityError(what, where=str(where), cause=cause, fix=COPY)


class _Folder:
    def __init__(self, where: Path) -> None:
        self.where = where

    def digests(self) -> dict[str, str]:
        found = {}
        for path in sorted(self.where.rglob("*")):
            name = path.relative_to(self.where).as_posix()
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise changed(self.where, f"{name} is not a plain file.")
            if path.is_file():
                found[name] = file_sha256(path)
        return found

    def open(self, path: str) -> IO[bytes]:
        return (self.where / path).open("rb")


class _Bundle:
    """A tar that is compared with the one that `write_bundle` makes of the same files.

    So headers and padding count too, which no digest of a file covers.
    """

    def __init__(self, where: Path, file: IO[bytes]) -> None:
        self.where = where
        self._file = file
        self._members: dict[str, tarfile.TarInfo] = {}

    def _tar(self) -> tarfile.TarFile:
        self._file.seek(0)
        return tarfile.open(fileobj=self._file, mode="r:")

    def digests(self) -> dict[str, str]:
        with self.where.open("rb") as file:
            return self._compared(_Same(file))

    def _compared(self, same: "_Same") -> dict[str, str]:
        found: dict[str, str] = {}
        last = "its first header"
        try:
            with self._tar() as tar, tar_onto(same) as again:
                for member in tar:
                    last = member.name.partition("/")[2] or member.name
                    content = self._copied(tar, member, again)
                    if content is not None:
                        found[last] = content
            same.end()
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            raise changed(
                self.where, f"it cannot be read at or after {last}.", cause=f"{error}"
            ) from None
        except _DifferentError as error:
            raise changed(
                self.where,
                f"it was changed in what surrounds {last}.",
                cause=f"Header or padding, near byte {error}, are not as strixforge writes them.",
            ) from None
        return found

    def _copied(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, again: tarfile.TarFile
    ) -> str | None:
        """Write a member as it must be; return the digest of a file, None for a folder."""
        if member.isdir():
            again.addfile(folder_member(member.name, int(member.mtime)))
            return None
        file = tar.extractfile(member) if member.isreg() and not member.issparse() else None
        inside = member.name.partition("/")[2]
        if file is None or inside in self._members:
            raise changed(self.where, f"{member.name} is not a plain file, or is there twice.")
        self._members[inside] = member
        with file:
            content = Hashed(file)
            again.addfile(
                file_member(
                    member.name,
                    int(member.mtime),
                    member.size,
                    executable=bool(member.mode & 0o100),
                ),
                content,
            )
        return content.digest.hexdigest()

    def open(self, path: str) -> IO[bytes]:
        # It is given the file, so it has nothing of its own to close.
        file = self._tar().extractfile(self._members[path])
        assert file is not None  # noqa: S101 - `digests` has read it
        return file


class _DifferentError(Exception):
    """What was read is not what should be there; the text is where, in bytes."""


class _Same:
    """Compares what is written to it with a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        at = self._file.tell()
        if self._file.read(len(data)) != data:
            raise _DifferentError(at)
        return len(data)

    def end(self) -> None:
        """Compare the end of both."""
        if self._file.read(1):
            raise _DifferentError(self._file.tell() - 1)
