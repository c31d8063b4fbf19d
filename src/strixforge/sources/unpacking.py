"""Unpacking archives that may be hostile: nothing lands outside the folder, nothing is special.

The rules are our own and the same in every Python: Debian 12 has no extraction filters, and they
had escapes through long symlink chains (CVE-2025-4517). No member may pass through a symlink of the
archive, links must stay inside, hard links name only what was written before, the size is bounded.
"""

import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from strixforge.model.errors import ArchiveError

MAX_BYTES = 200 * 1024**3
"""Upper bound of an unpacked archive; a full ROCm distribution is about 20 GB."""
MAX_MEMBERS = 2_000_000
_MAX_LINK = 1024  # bytes; longer targets are how path-length tricks are played


def unpack_archive(archive: Path, target: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Unpack a tar or zip, whatever its name, into the empty folder `target`.

    A single top folder is left out, as sdists and forge archives have it. Raises ArchiveError;
    what was unpacked until then stays inside `target`.
    """
    raw = target.parent / (target.name + ".unpacking")
    if raw.exists():
        shutil.rmtree(raw)
    raw.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, raw, max_bytes)
        else:
            _unpack_tar(archive, raw, max_bytes)
    except _damage() as e:
        raise ArchiveError(
            f"{archive.name} cannot be unpacked: {e}.",
            where=str(archive),
            cause="The archive is damaged, or of a kind that strixforge does not read.",
        ) from None
    check_links(raw, archive.name)
    entries = list(raw.iterdir())
    top = entries[0] if len(entries) == 1 and _is_folder(entries[0]) else raw
    if not entries:
        raise ArchiveError(f"{archive.name} is empty.", where=str(archive))
    target.rmdir()
    top.rename(target)
    if top != raw:
        raw.rmdir()


def check_links(root: Path, name: str) -> None:
    """Raise ArchiveError when a symlink below `root` leads, or could lead, out of it."""
    real = os.path.realpath(root)
    for folder, folders, files in os.walk(root):
        for entry in (*folders, *files):
            path = os.path.join(folder, entry)  # noqa: PTH118 - Path is slow over large trees
            if not os.path.islink(path):  # noqa: PTH114
                continue
            target = os.readlink(path)  # noqa: PTH115
            resolved = os.path.realpath(path)
            inside = resolved == real or resolved.startswith(real + os.sep)
            if os.path.isabs(target) or len(target) > _MAX_LINK or not inside:  # noqa: PTH117
                raise _escape(name, os.path.relpath(path, root), f"a link to {target[:80]}")


def _damage() -> tuple[type[Exception], ...]:
    """Return what the standard library and zstandard raise for a damaged archive."""
    import lzma
    import zlib

    import zstandard

    own = (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError)
    return (*own, lzma.LZMAError, zlib.error, zstandard.ZstdError)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _escape(archive: str, member: str, why: str) -> ArchiveError:
    return ArchiveError(
        f"{archive} would write outside its folder: {member[:200]!r} is {why}.",
        where=archive,
        cause="A harmless source archive never does that.",
        fix="Do not use this archive. Report it to where it came from.",
    )


class _Guard:
    """Checks each member before it is written."""

    def __init__(self, archive: str, max_bytes: int) -> None:
        self._archive = archive
        self._left = max_bytes
        self._members = 0
        self._links: set[PurePosixPath] = set()
        self._files: set[PurePosixPath] = set()

    def admit(self, name: str, size: int) -> PurePosixPath:
        """Return the member's path. Raises ArchiveError for an unsafe one."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise _escape(self._archive, name, "a path that leaves the folder")
        if not self._links.isdisjoint((path, *path.parents)):
            raise _escape(self._archive, name, "a path through a symlink of the same archive")
        self._members += 1
        self._left -= size
        if self._left < 0 or self._members > MAX_MEMBERS:
            raise ArchiveError(
                f"{self._archive} is larger than the bound for unpacked archives.",
                where=self._archive,
                cause="It may be a decompression bomb.",
            )
        return path

    def file(self, path: PurePosixPath) -> None:
        """Remember a regular file, which hard links may name."""
        self._files.add(path)

    def symlink(self, path: PurePosixPath, target: str) -> None:
        """Check the target by its text; check_links looks at the whole tree afterwards."""
        if target.startswith("/") or len(target) > _MAX_LINK:
            raise _escape(self._archive, str(path), f"a link to {target[:80]}")
        depth = len(path.parent.parts)
        for part in PurePosixPath(target).parts:
            depth += -1 if part == ".." else 1
            if depth < 0:
                raise _escape(self._archive, str(path), f"a link to {target[:80]}")
        self._links.add(path)

    def hard_link(self, path: PurePosixPath, target: str) -> None:
        """A hard link may only name a regular file that this archive has written before."""
        if PurePosixPath(target) not in self._files:
            raise _escape(self._archive, str(path), f"a hard link to {target[:80]!r}")
        self._files.add(path)


def _unpack_tar(archive: Path, root: Path, max_bytes: int) -> None:
    guard = _Guard(archive.name, max_bytes)
    with _open_tar(archive) as tar:
        for member in tar:
            path = guard.admit(member.name, member.size if member.isreg() else 0)
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if member.isdir():
                place.mkdir(exist_ok=True)
            elif member.issym():
                guard.symlink(path, member.linkname)
                place.unlink(missing_ok=True)
                place.symlink_to(member.linkname)
            elif member.islnk():
                guard.hard_link(path, member.linkname)
                place.unlink(missing_ok=True)
                place.hardlink_to(root / member.linkname)
            elif member.isreg() and (source := tar.extractfile(member)) is not None:
                guard.file(path)
                _write(source, place, executable=bool(member.mode & 0o100))
            else:
                raise _escape(archive.name, member.name, "a device or other special file")


def _write(source: IO[bytes], place: Path, *, executable: bool) -> None:
    """Write one regular file; a later member of the same name replaces an earlier one."""
    place.unlink(missing_ok=True)
    with place.open("xb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    place.chmod(0o755 if executable else 0o644)


@contextmanager
def _open_tar(archive: Path) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as file:
        if file.read(4) == b"\x28\xb5\x2f\xfd":  # zstd's magic number; tarfile reads it from 3.14
            import zstandard

            file.seek(0)
            stream: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(file)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                yield tar
        else:
            with tarfile.open(archive, mode="r:*") as tar:
                yield tar


def _unpack_zip(archive: Path, root: Path, max_bytes: int) -> None:
    guard = _Guard(archive.name, max_bytes)
    with zipfile.ZipFile(archive) as zipped:
        for info in zipped.infolist():
            path = guard.admit(info.filename, info.file_size)
            mode = info.external_attr >> 16
            place = root / path
            if info.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(mode):
                target = zipped.read(info).decode("utf-8", "surrogateescape")
                guard.symlink(path, target)
                place.symlink_to(target)
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise _escape(archive.name, info.filename, "a device or other special file")
            # zipfile stops at the declared size and checks the CRC, so the bound above holds.
            with zipped.open(info) as source:
                _write(source, place, executable=bool(mode & 0o100))
