"""Members of zip archives (wheels) and static libraries, bounded.

Sources: the zip method numbers are those of Python's `zipfile`; the `ar` header is that of
GNU binutils' include/aout/ar.h: 60 bytes, the size in decimal at byte 48, members at even bytes.
"""

import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO

from strixforge.audit.bounds import Budget, MalformedError, part

ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
AR_MAGIC = b"!<arch>\n"
Wanted = Callable[[bytes, str], bool]
_CHUNK = 1 << 20
# What zipfile raises on hostile archives beside BadZipFile: ValueError and its kin on impossible
# offsets and names, EOFError on short members, struct.error on short headers, RuntimeError on
# encrypted ones and (a subclass of it) on newer zip versions, OSError on negative seeks.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)


def open_zip(stream: IO[bytes]) -> zipfile.ZipFile:
    """Open a zip archive. Raises `MalformedError` when its directory cannot be read."""
    try:
        return zipfile.ZipFile(stream)
    except _ZIP_ERRORS as error:
        raise MalformedError(f"the zip archive cannot be read: {error!r}") from error


def unpack(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, wanted: Wanted, head: int, budget: Budget
) -> IO[bytes]:
    """Return a member as an open temporary file: all of it, or its first bytes alone.

    `wanted` is asked with the first `head` bytes and the name. On disk, because libraries of
    several GB come in wheels. Bytes are taken from `budget`.
    Raises `MalformedError` when the member is damaged, encrypted or packed in an unusual way.
    """
    # bz2 and LZMA give no bound on what one piece unpacks to, and wheels do not use them.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise MalformedError(f"zip compression method {member.compress_type} is not read")
    try:
        with archive.open(member) as source:
            return copied(source, member.filename, wanted, head, budget)
    except _ZIP_ERRORS as error:
        raise MalformedError(f"the zip member cannot be read: {error!r}") from error


def copied(source: IO[bytes], name: str, wanted: Wanted, head: int, budget: Budget) -> IO[bytes]:
    """Return an open temporary file with what a stream holds, or with its first bytes alone."""
    piece = source.read(head)
    if not wanted(piece, name):
        return io.BytesIO(piece)
    with ExitStack() as undo:
        copy = undo.enter_context(tempfile.TemporaryFile())
        while piece:
            budget.take(len(piece), "an archive's member")
            copy.write(piece)
            piece = source.read(_CHUNK)
        copy.seek(0)
        undo.pop_all()
        return copy


def ar_members(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Yield name and contents of each member of a static library, without its own tables.

    Raises `MalformedError` where the next header is not one.
    """
    long_names, offset = b"", len(AR_MAGIC)
    while offset < len(data):
        header = bytes(part(data, offset, 60, "an archive member's header"))
        digits = header[48:58].strip()
        if header[58:] != b"`\n" or not digits.isdigit():
            raise MalformedError(f"no archive member at byte {offset}")
        contents = part(data, offset + 60, int(digits), "an archive member")
        offset += 60 + len(contents) + len(contents) % 2
        name = header[:16].rstrip()
        if name == b"//":
            long_names = bytes(contents)
        elif name not in (b"/", b"/SYM64/"):
            if name[:1] == b"/" and name[1:].isdigit():
                name = long_names[int(name[1:]) :].split(b"\n", 1)[0]
            yield name.removesuffix(b"/").decode("utf-8", "replace"), contents
