"""Find the AMDGPU code objects in files, folders and archives, with their targets and kernels.

A code object is an ELF image for AMDGPU. It is found raw (.hsaco of Triton), in offload bundles
(.co), in AOTriton's packs (.aks2), in the `.hip_fatbin` sections of host libraries, and in those
inside wheels, Debian packages, tar archives and static libraries. What looks like device code and
cannot be read is reported, never skipped: an unknown format must not pass for "no kernels". Text
that merely mentions a target is no hit.

Not looked into: symbolic links (their targets are scanned where they lie), and single files that
are compressed and no archive.
"""

import mmap
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from strixforge.audit import archives, images, solutions, tars
from strixforge.audit.bounds import Budget, MalformedError
from strixforge.audit.images import CodeObject, Finding, NoDeviceCode, Seen, Unreadable, printable
from strixforge.audit.sharing import KEPT, Second

__all__ = ["CodeObject", "NoDeviceCode", "Unreadable", "scan", "survey"]

ZIP_SUFFIXES = (".whl", ".zip")
NESTED = 2
"""Archives inside the first one: a pack in a wheel in a bundle."""
_MAGICS = (*images.MAGICS, *archives.ZIP_MAGICS)
_HEAD = tars.USTAR_AT + len(tars.USTAR)


def scan(path: Path) -> Iterator[Finding]:
    """Yield every code object in a file, a folder or an archive, in the order of names.

    Never raises for what it reads: a missing, damaged or hostile file yields `Unreadable`.
    In a folder symbolic links are not followed and a file with several hard links counts once;
    `path` itself may be a link. Memory stays below about 1.2 GiB beside the results, and below
    200 MB where no bundle is larger: files are mapped, members copied to the temporary folder,
    compressed bundles unpacked one at a time.
    Files must not be shortened meanwhile: reading a mapping past the new end kills the process.
    """
    return (one for one in survey(path) if not isinstance(one, NoDeviceCode))


def survey(path: Path, archs: tuple[str, ...] = ()) -> Iterator[Seen]:
    """Yield the same, and also every file that was looked at and holds no device code.

    With `archs`, kernels are read only of code objects that can run on one of those: a library has
    up to twenty targets, and their metadata takes longer to read than to unpack.
    """
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:
        yield Unreadable(printable(str(path)), f"cannot be opened: {error}")
        return
    yield from _folder(path, archs) if is_folder else _file(path, archs)


def _folder(root: Path, archs: tuple[str, ...]) -> Iterator[Seen]:
    # A stack, because os.walk of Python 3.11 recurses and deep trees exceed its limit.
    waiting: list[Path] = [root]
    seen: set[tuple[int, int]] = set()
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
            found = [(Path(entry), entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError as error:
            yield Unreadable(printable(str(folder)), f"cannot be listed: {error}")
            continue
        waiting += [path for path, status in reversed(found) if stat.S_ISDIR(status.st_mode)]
        for path, status in found:
            identity = (status.st_dev, status.st_ino)
            if stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode) or identity in seen:
                continue
            seen.add(identity)
            yield from _file(path, archs)


def _file(path: Path, archs: tuple[str, ...]) -> Iterator[Seen]:
    where = printable(str(path))
    try:
        # Opening a pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            yield Unreadable(where, "not a regular file")
            return
        with path.open("rb") as stream:
            budget = Budget.for_file(os.fstat(stream.fileno()).st_size, archs)
            yield from _stream(stream, where, budget, depth=0)
    except OSError as error:
        yield Unreadable(where, f"cannot be read: {error}")


def _stream(stream: IO[bytes], where: str, budget: Budget, depth: int) -> Iterator[Seen]:
    """Scan an open file; `depth` counts the archives around it."""
    head = stream.read(_HEAD)
    stream.seek(0)
    if head.startswith(archives.ZIP_MAGICS) or tars.is_deb(head) or tars.is_tar(head, where):
        if depth > NESTED:
            yield Unreadable(where, f"archives nested more than {NESTED} deep are not read")
            return
        try:
            yield from _archive(stream, head, where, budget, depth)
        except MalformedError as error:
            yield Unreadable(where, str(error))
    elif head.startswith(images.MAGICS):
        try:
            mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            yield Unreadable(where, f"cannot be mapped: {error}")
            return
        found, seen = None, 0
        with Second(stream, where, budget) as second:
            for found in images.read(memoryview(mapping), where, budget, second):
                yield found
                seen += found.size if isinstance(found, CodeObject) else 0
                if seen > KEPT:
                    mapping.madvise(mmap.MADV_DONTNEED)
                    seen = 0
        if found is None:
            library = head.startswith(archives.AR_MAGIC)
            yield NoDeviceCode(where, "static library" if library else "program")
    else:
        yield from _unrecognised(stream, head, where)


def _unrecognised(stream: IO[bytes], head: bytes, where: str) -> Iterator[Seen]:
    if where.lower().endswith(ZIP_SUFFIXES):
        yield Unreadable(where, "not a zip archive")
    elif solutions.is_named_so(where):
        reason = solutions.fault(stream, head)
        yield Unreadable(where, reason) if reason else NoDeviceCode(where, "Tensile solutions")
    elif named := list(images.unrecognised(where, is_empty=not head)):
        yield from named
    else:
        yield NoDeviceCode(where, "other")


def _archive(
    stream: IO[bytes], head: bytes, where: str, budget: Budget, depth: int
) -> Iterator[Seen]:
    """Scan the members of an archive. Raises `MalformedError` where it ends before its end."""
    if head.startswith(archives.ZIP_MAGICS):
        with archives.open_zip(stream) as archive:
            for member in archive.infolist():
                # Not is_dir(), which fails on an empty name.
                if not member.filename.endswith("/"):
                    inner = f"{where}!{printable(member.filename)}"
                    yield from _member(archive, member, inner, budget, depth)
        return
    members = tars.deb_members if tars.is_deb(head) else tars.tar_members
    for name, contents in members(stream, head, _wanted, budget):
        with contents:
            yield from _stream(contents, f"{where}!{printable(name)}", budget, depth + 1)


def _wanted(head: bytes, name: str) -> bool:
    """Say whether a member's contents are looked into, beyond its first bytes."""
    return head.startswith(_MAGICS) or tars.is_tar(head, name) or solutions.is_named_so(name)


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str, budget: Budget, depth: int
) -> Iterator[Seen]:
    try:
        copy = archives.unpack(archive, member, _wanted, _HEAD, budget)
    except MalformedError as error:
        yield Unreadable(where, str(error))
        return
    with copy:
        yield from _stream(copy, where, budget, depth + 1)
