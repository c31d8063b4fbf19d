"""Unpacking archives that may be hostile: nothing lands outside the folder, nothing is special.

The rules are our own and the same in every Python: Debian 12 has no extraction filters, and they
had escapes through long symlink chains (CVE-2025-4517). No member may pass through a symlink of the
archive, links must stay inside, hard links name only what was written before, the size is bounded.
"""

import errno
import os
import shutil
import stat
import tarfile
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, Self

from strixforge.model.errors import ArchiveError

MAX_BYTES = 200 * 1024**3
"""Upper bound of an unpacked archive; a full ROCm distribution is about 20 GB."""
MAX_MEMBERS = 2_000_000
_MAX_LINK = 1024  # bytes; longer targets are how path-length tricks are played
_MAX_DEPTH = 100  # folders in one path; the deepest of LLVM and ROCm are below 30
_MAX_HEADER = 1 << 14  # bytes; tarfile takes quadratic time over an extended header
# What the operating system says of names that cannot be written. Other errors are the host's.
_BAD_NAMES = frozenset(
    (
        *(errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ELOOP),
        *(errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY),
    )
)


def file_digest(sha256: str, only: tuple[str, ...]) -> str:
    """Return what a key document knows of an archive of which only some members are taken."""
    return f"sha256:{sha256}" + (f" {list(only)}" if only else "")


def unpack_archive(
    archive: Path,
    target: Path,
    *,
    only: tuple[str, ...] = (),
    max_bytes: int = MAX_BYTES,
    max_members: int = MAX_MEMBERS,
) -> str:
    """Unpack a tar or zip, whatever its name, into the empty folder `target`.

    With `only`, members whose path matches none of these patterns are left out; `*` also matches
    `/`. Links among those that stay must lead to others of them.

    A single top folder is left out, as sdists and forge archives have it; returns its name, or an
    empty text. Raises ArchiveError; what was unpacked until then stays inside `target`.
    """
    target = target.absolute()  # a relative path would hide how long the names in it are
    work = target.parent / (target.name + ".unpacking")
    if work.exists():
        shutil.rmtree(work)
    raw = work / uuid.uuid4().hex
    raw.mkdir(parents=True)
    guard = Guard(archive.name, max_bytes, max_members, only)
    with archive.open("rb") as file:
        magic = file.read(4)
    with explained(archive):
        # By its first bytes: a tar may end in a zip, and zipfile looks at the end only.
        if magic in (b"PK\3\4", b"PK\5\6"):
            _unpack_zip(archive, raw, guard)
        else:
            with archive.open("rb") as file:
                unpack_tar(file, raw, guard)
    entries = list(raw.iterdir())
    if guard.missed:
        raise _damaged(archive, f"no member matches {', '.join(sorted(guard.missed))}")
    if not entries:
        raise _damaged(archive, "it is empty")
    top = entries[0] if len(entries) == 1 and _is_folder(entries[0]) else raw
    # Under a name that no link can guess: one that leaves the folder cannot come back in by it.
    whole = top.rename(work / uuid.uuid4().hex)
    check_links(whole, archive.name)
    target.rmdir()
    whole.rename(target)
    shutil.rmtree(work)
    return top.name if top != raw else ""


def check_links(root: Path, name: str) -> None:
    """Raise ArchiveError when a symlink below `root` leads, or could lead, out of it."""
    real = os.path.realpath(root)

    def refuse(error: OSError) -> None:
        raise ArchiveError(
            f"{name} holds a folder that cannot be looked into: {error.strerror}.",
            where=str(error.filename),
            cause="Its name is too long, or something changed it while it was unpacked.",
            fix="Do not use this archive. Report it to where it came from.",
        )

    for folder, folders, files in os.walk(root, onerror=refuse):
        for entry in (*folders, *files):
            path = os.path.join(folder, entry)  # noqa: PTH118 - Path is slow over large trees
            if not os.path.islink(path):  # noqa: PTH114
                continue
            target = os.readlink(path)  # noqa: PTH115
            resolved = os.path.realpath(path)
            inside = resolved == real or resolved.startswith(real + os.sep)
            if os.path.isabs(target) or len(target) > _MAX_LINK or not inside:  # noqa: PTH117
                raise _escape(name, os.path.relpath(path, root), f"a link to {target[:80]}")


@contextmanager
def explained(archive: Path) -> Iterator[None]:
    """Turn what unpacking raises for a damaged archive into an ArchiveError; a full disk stays."""
    try:
        yield
    except _damage() as error:
        raise _damaged(archive, str(error) or type(error).__name__) from None
    except OSError as error:
        if error.errno is not None and error.errno not in _BAD_NAMES:
            raise  # the disk is full, or the like
        raise _damaged(archive, error.strerror or str(error)) from None


def _damage() -> tuple[type[Exception], ...]:
    """Return what the standard library and zstandard raise for a damaged archive."""
    import gzip
    import lzma
    import struct
    import zlib

    import zstandard

    kinds = (lzma.LZMAError, struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error)
    return (
        *(*kinds, zstandard.ZstdError, gzip.BadGzipFile),
        *(ArithmeticError, EOFError, LookupError, RuntimeError, ValueError),
    )


def _damaged(archive: Path, why: str) -> ArchiveError:
    return ArchiveError(
        f"{archive.name} cannot be unpacked: {why.rstrip('.')}.",
        where=str(archive),
        cause="The archive is damaged, or of a kind that strixforge does not read.",
        fix="Its hash is that of the lock, so look at the file, then at the pin.",
    )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _escape(archive: str, member: str, why: str) -> ArchiveError:
    return ArchiveError(
        f"{archive} would write outside its folder: {member[:200]!r} is {why}.",
        where=archive,
        cause="A harmless source archive never does that.",
        fix="Do not use this archive. Report it to where it came from.",
    )


class Guard:
    """Checks each member before it is written."""

    def __init__(
        self, archive: str, max_bytes: int, max_members: int, only: tuple[str, ...] = ()
    ) -> None:
        """`archive` is the name for messages; the bounds are those of all members together."""
        self.archive = archive
        self._only = only
        self.missed = set(only)
        """Patterns of `only` that no member has matched yet."""
        self._left = max_bytes
        self._members = max_members
        self._links: set[PurePosixPath] = set()
        self._files: set[PurePosixPath] = set()

    def wants(self, name: str) -> bool:
        """Say whether a member is to be unpacked."""
        hits = {pattern for pattern in self._only if fnmatch(name, pattern)}
        self.missed -= hits
        return not self._only or bool(hits)

    def admit(self, name: str, size: int) -> PurePosixPath:
        """Return the member's path. Raises ArchiveError for an unsafe one."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise _escape(self.archive, name, "a path that leaves the folder")
        if not self._links.isdisjoint((path, *path.parents)):
            raise _escape(self.archive, name, "a path through a symlink of the same archive")
        if len(path.parts) > _MAX_DEPTH:
            raise ArchiveError(
                f"{self.archive} nests folders more than {_MAX_DEPTH} deep: {name[:80]!r}.",
                where=self.archive,
                cause="It may be made to break what walks through it.",
                fix="Do not use this archive. Report it to where it came from.",
            )
        if size < 0:
            raise ValueError(f"{name[:80]!r} has a negative size")
        self._members -= 1
        self._left -= size
        if self._left < 0 or self._members < 0:
            raise ArchiveError(
                f"{self.archive} is larger than the bound for unpacked archives.",
                where=self.archive,
                cause="It may be a decompression bomb.",
                fix="Do not use this archive. Report it to where it came from.",
            )
        return path

    def file(self, path: PurePosixPath) -> None:
        """Remember a regular file, which hard links may name."""
        self._files.add(path)

    def symlink(self, path: PurePosixPath, target: str) -> str:
        """Return the target to write, checked by its text; check_links looks at the whole tree."""
        if target.startswith("/") or len(target) > _MAX_LINK:
            raise _escape(self.archive, str(path), f"a link to {target[:80]}")
        depth = len(path.parent.parts)
        for part in PurePosixPath(target).parts:
            depth += -1 if part == ".." else 1
            if depth < 0:
                raise _escape(self.archive, str(path), f"a link to {target[:80]}")
        self._links.add(path)
        self._files.discard(path)  # it takes the place of a file of that name
        return target

    def hard_link(self, path: PurePosixPath, target: str) -> None:
        """A hard link may only name a regular file that this archive has written before."""
        if PurePosixPath(target) not in self._files:
            raise _escape(self.archive, str(path), f"a hard link to {target[:80]!r}")
        self._files.add(path)


class _Member(tarfile.TarInfo):
    """A tar header that cannot send the reader back, nor have it fill the memory."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Refuse an archive that ends inside a header: the reader would take that for its end."""
        try:
            return super().fromtarfile(archive)
        except tarfile.TruncatedHeaderError:  # type: ignore[attr-defined]  # typeshed has its base alone
            raise tarfile.ReadError("it is cut off") from None

    def _block(self, count: int) -> int:
        """Refuse a negative size: the reader would go round for ever (CVE-2025-8194)."""
        if count < 0:
            raise tarfile.ReadError("a member has a negative size")
        return super()._block(count)  # type: ignore[misc, no-any-return]  # private, and the only hook

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Bound what is no file: names and extended headers."""
        if not self.isreg() and self.size > _MAX_HEADER:
            raise tarfile.ReadError("a header is larger than any real one")
        return super()._proc_member(tar)  # type: ignore[misc, no-any-return]  # private, and the only hook


def unpack_tar(file: IO[bytes], root: Path, guard: Guard) -> None:
    """Unpack a tar, compressed or not, from its first byte in `file`, which can seek."""
    with open_tar(file) as tar:
        for member in tar:
            if not guard.wants(member.name):
                continue
            path = guard.admit(member.name, member.size if member.isreg() else 0)
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if member.isdir():
                place.mkdir(exist_ok=True)
            elif member.issym():
                link = guard.symlink(path, member.linkname)
                place.unlink(missing_ok=True)
                place.symlink_to(link)
            elif member.islnk():
                guard.hard_link(path, member.linkname)
                place.unlink(missing_ok=True)
                place.hardlink_to(root / member.linkname)
            elif member.isreg() and (source := tar.extractfile(member)) is not None:
                guard.file(path)
                _write(source, place, executable=bool(member.mode & 0o100))
            else:
                raise _escape(guard.archive, member.name, "a device or other special file")


def _write(source: IO[bytes], place: Path, *, executable: bool) -> None:
    """Write one regular file; a later member of the same name replaces an earlier one."""
    place.unlink(missing_ok=True)
    with place.open("xb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    place.chmod(0o755 if executable else 0o644)


@contextmanager
def open_tar(file: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """Open a tar, compressed or not, whose headers are bounded; use it within `explained`."""
    start = file.tell()
    magic = file.read(4)
    file.seek(start)
    if magic != b"\x28\xb5\x2f\xfd":
        with tarfile.open(fileobj=file, mode="r:*", tarinfo=_Member) as tar:
            yield tar
        return
    import zstandard  # tarfile reads zstd from Python 3.14 on

    decompressor = zstandard.ZstdDecompressor()
    with (
        decompressor.stream_reader(file, read_across_frames=True) as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as tar,
    ):
        yield tar


def _unpack_zip(archive: Path, root: Path, guard: Guard) -> None:
    with zipfile.ZipFile(archive) as zipped:
        for info in zipped.infolist():
            if not guard.wants(info.filename):
                continue
            path = guard.admit(info.filename, info.file_size)
            mode = info.external_attr >> 16
            place = root / path
            if info.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(mode):
                if info.file_size > _MAX_LINK:
                    raise _escape(archive.name, info.filename, "a link with too long a target")
                target = zipped.read(info).decode("utf-8", "surrogateescape")
                link = guard.symlink(path, target)
                place.unlink(missing_ok=True)
                place.symlink_to(link)
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise _escape(archive.name, info.filename, "a device or other special file")
            # zipfile stops at the declared size and checks the CRC, so the bound above holds.
            with zipped.open(info) as source:
                _write(source, place, executable=bool(mode & 0o100))
