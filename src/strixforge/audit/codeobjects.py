"""Find the AMDGPU code objects in files, folders and wheels, with their targets and kernels.

A code object is an ELF image for AMDGPU. It is found raw (.hsaco of Triton), in offload bundles
(.co), in AOTriton's packs (.aks2), in the `.hip_fatbin` sections of host libraries, and in those
inside wheels and static libraries. What looks like device code and cannot be read is reported,
never skipped: an unknown format must not pass for "no kernels". Text that merely mentions a target
is no hit.

Not looked into: tar archives, and symbolic links (their targets are scanned where they lie).
"""

import mmap
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from strixforge.audit import archives, images
from strixforge.audit.bounds import Budget, MalformedError
from strixforge.audit.images import CodeObject, Finding, Unreadable, printable

__all__ = ["CodeObject", "Unreadable", "scan"]

ZIP_SUFFIXES = (".whl", ".zip")
NESTED_ZIPS = 1
_MAGICS = (*images.MAGICS, *archives.ZIP_MAGICS)


def scan(path: Path) -> Iterator[Finding]:
    """Yield every code object in a file, a folder or a wheel, in the order of names.

    Never raises for what it reads: a missing, damaged or hostile file yields `Unreadable`.
    In a folder symbolic links are not followed and a file with several hard links counts once;
    `path` itself may be a link. Memory stays below about 1.2 GiB beside the results: files are
    mapped, zip members copied to the temporary folder, compressed bundles unpacked one at a time.
    Files must not be shortened meanwhile: reading a mapping past the new end kills the process.
    """
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:
        yield Unreadable(printable(str(path)), f"cannot be opened: {error}")
        return
    yield from _folder(path) if is_folder else _file(path)


def _folder(root: Path) -> Iterator[Finding]:
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
            yield from _file(path)


def _file(path: Path) -> Iterator[Finding]:
    where = printable(str(path))
    try:
        # Opening a pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            yield Unreadable(where, "not a regular file")
            return
        with path.open("rb") as stream:
            budget = Budget.for_file(os.fstat(stream.fileno()).st_size)
            yield from _stream(stream, where, budget, depth=0)
    except OSError as error:
        yield Unreadable(where, f"cannot be read: {error}")


def _stream(stream: IO[bytes], where: str, budget: Budget, depth: int) -> Iterator[Finding]:
    """Scan an open file; `depth` counts the zip archives around it."""
    head = stream.read(max(map(len, _MAGICS)))
    if head.startswith(archives.ZIP_MAGICS):
        yield from _zip(stream, where, budget, depth)
    elif head.startswith(images.MAGICS):
        try:
            mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            yield Unreadable(where, f"cannot be mapped: {error}")
            return
        yield from images.read(memoryview(mapping), where, budget)
    else:
        yield from _unrecognised(where)


def _unrecognised(where: str) -> Iterator[Unreadable]:
    yield from images.unrecognised(where)
    if where.lower().endswith(ZIP_SUFFIXES):
        yield Unreadable(where, "not a zip archive")


def _zip(stream: IO[bytes], where: str, budget: Budget, depth: int) -> Iterator[Finding]:
    if depth > NESTED_ZIPS:
        yield Unreadable(where, f"zip archives nested more than {NESTED_ZIPS} deep are not read")
        return
    try:
        with archives.open_zip(stream) as archive:
            for member in archive.infolist():
                # Not is_dir(), which fails on an empty name.
                if not member.filename.endswith("/"):
                    inner = f"{where}!{printable(member.filename)}"
                    yield from _member(archive, member, inner, budget, depth)
    except MalformedError as error:
        yield Unreadable(where, str(error))


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str, budget: Budget, depth: int
) -> Iterator[Finding]:
    try:
        copy = archives.unpack(archive, member, _MAGICS, budget)
    except MalformedError as error:
        yield Unreadable(where, str(error))
        return
    if copy is None:
        yield from _unrecognised(where)
        return
    with copy:
        yield from _stream(copy, where, budget, depth + 1)
