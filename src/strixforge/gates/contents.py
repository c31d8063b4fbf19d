"""Reads each archive of a staged wheelhouse once: digests, and what the loader reads of libraries.

Members are read piece by piece. Libraries are mapped: in a tar where they lie, in a wheel from a
temporary file, because some have several GB.
"""

import hashlib
import mmap
import os
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from strixforge.audit.bounds import Budget, MalformedError
from strixforge.gates.dynamic import MAGIC, Dynamic, read_dynamic
from strixforge.gates.staged import Archive, Member

_PIECE = 1 << 20
# What zipfile and tarfile raise on hostile archives, beside their own: see audit/archives.py.
_DAMAGED = (
    OSError,
    EOFError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
)


def read_archive(
    staged: Path, path: str, sha256: str, component: str, *, as_it_came: bool, is_toolchain: bool
) -> Archive:
    """Read a wheel or a prefix's tar. Never raises for what is in it: `problem` says it."""
    file = staged / path
    members: list[Member] = []
    problem = ""
    try:
        if path.endswith(".whl"):
            members.extend(_of_wheel(file))
        else:
            members.extend(_of_tar(file, digests=not is_toolchain))
    except _DAMAGED as error:
        problem = f"cannot be read: {error!r}"
    return Archive(path, file, sha256, component, as_it_came, is_toolchain, tuple(members), problem)


def _of_wheel(path: Path) -> Iterator[Member]:
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        budget = Budget.for_file(os.fstat(stream.fileno()).st_size)
        for info in archive.infolist():
            # A folder is an entry too, and holds nothing; zipfile cuts names at a NUL.
            if info.orig_filename.endswith("/") and not info.file_size:
                continue
            try:
                yield _unpacked(archive, info, budget)
            except (*_DAMAGED, MalformedError) as error:
                yield Member(info.orig_filename, info.file_size, "", problem=str(error))


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Member:
    # bz2 and LZMA give no bound on what one piece unpacks to, and wheels do not use them.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise MalformedError(f"zip compression method {info.compress_type} is not read")
    digest = hashlib.sha256()
    size = 0
    dynamic = None
    problem = ""
    with archive.open(info) as source:
        piece = source.read(_PIECE)
        with tempfile.TemporaryFile() as copy:
            is_elf = piece.startswith(MAGIC)
            while piece:
                budget.take(len(piece), "a zip member")
                digest.update(piece)
                size += len(piece)
                if is_elf:
                    copy.write(piece)
                piece = source.read(_PIECE)
            if is_elf:
                copy.flush()
                dynamic, problem = _linked(copy, 0, size)
    return Member(info.orig_filename, size, digest.hexdigest(), dynamic, problem)


def _of_tar(path: Path, *, digests: bool) -> Iterator[Member]:
    with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for info in archive:
            if info.issym():
                yield Member(info.name, 0, "", link=info.linkname)
            elif info.isreg():
                yield _plain(archive, info, stream, digests=digests)
            elif not info.isdir():
                yield Member(info.name, 0, "", problem="neither a file, a link nor a folder")


def _plain(
    archive: tarfile.TarFile, info: tarfile.TarInfo, stream: IO[bytes], *, digests: bool
) -> Member:
    digest = hashlib.sha256()
    file = archive.extractfile(info)
    if file is None or info.issparse():
        return Member(info.name, info.size, "", problem="no plain file")
    dynamic, problem = None, ""
    with file:
        piece = file.read(_PIECE)
        is_elf = piece.startswith(MAGIC)
        while piece and digests:
            digest.update(piece)
            piece = file.read(_PIECE)
    if is_elf:
        dynamic, problem = _linked(stream, info.offset_data, info.size)
    return Member(info.name, info.size, digest.hexdigest() if digests else "", dynamic, problem)


def _linked(stream: IO[bytes], offset: int, size: int) -> tuple[Dynamic | None, str]:
    """Return what the loader reads of an ELF file in an open one, or why it cannot be read."""
    start = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    length = offset - start + size
    # Not closed by name: that fails as long as any part of it is in use.
    mapping = mmap.mmap(stream.fileno(), length, access=mmap.ACCESS_READ, offset=start)
    try:
        return read_dynamic(memoryview(mapping)[offset - start :]), ""
    except (MalformedError, struct.error) as error:
        return None, f"a damaged ELF file: {error}"
