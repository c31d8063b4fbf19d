"""Members of tar archives and Debian packages, read as a stream: nothing is unpacked but a member.

Sources: deb(5), the format of Debian packages: an `ar` archive whose members are debian-binary,
control.tar.* and data.tar.*. The compressions are those of dpkg-deb(1) and of tar(1).
"""

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

import zstandard

from strixforge.audit.archives import Wanted, copied
from strixforge.audit.bounds import Budget, MalformedError

DEB_MAGIC = b"!<arch>\ndebian-binary"
USTAR, USTAR_AT = b"ustar", 257
SUFFIXES = (".tar", ".tgz", ".txz", ".tbz2", ".tzst")
"""Names of tar archives, beside those with `.tar.` before the suffix of their compression."""
_LARGEST_WINDOW = 1 << 27
"""Bytes: what `zstd --long` makes, and dpkg's limit."""


def _zstd(stream: IO[bytes]) -> IO[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    return cast(IO[bytes], decompressor.stream_reader(stream, read_across_frames=True))


_COMPRESSED: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    b"\x1f\x8b": lambda stream: cast(IO[bytes], gzip.GzipFile(fileobj=stream)),
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"BZh": bz2.BZ2File,
    b"\x28\xb5\x2f\xfd": _zstd,
}
_ERRORS = (
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    zstandard.ZstdError,
    EOFError,
    OSError,
    OverflowError,
    ValueError,
    struct.error,
)


def is_tar(head: bytes, name: str) -> bool:
    """Say whether a file that begins with `head`, 262 bytes, is a tar archive, or named as one."""
    if head[USTAR_AT : USTAR_AT + len(USTAR)] == USTAR:
        return True
    last = re.split("[/!]", name.lower())[-1]
    return last.endswith(SUFFIXES) or ".tar." in last


def is_deb(head: bytes) -> bool:
    """Say whether a file is a Debian package."""
    return head.startswith(DEB_MAGIC)


def tar_members(
    stream: IO[bytes], start: bytes, wanted: Wanted, budget: Budget
) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and contents of each file; of those that are not `wanted` the first bytes alone.

    `start` are the first bytes of the stream, which stands at its beginning. Contents are on disk;
    links and folders are passed over. Bytes are taken from `budget`, those of members that are
    skipped too. Raises `MalformedError`.
    """
    counted = _Counted(_plain(stream, start))
    try:
        with tarfile.open(fileobj=cast(IO[bytes], counted), mode="r|") as tar:
            for member in tar:
                budget.take(member.size, "a tar archive")
                file = tar.extractfile(member) if member.isreg() else None
                if file is not None:
                    head = USTAR_AT + len(USTAR)
                    yield member.name, copied(file, member.name, wanted, head, budget)
            if counted.total < tar.offset + tarfile.BLOCKSIZE:  # tarfile itself says nothing
                raise MalformedError("the tar archive is cut off")
    except _ERRORS as error:
        raise MalformedError(f"the tar archive cannot be read: {error!r}") from error


def deb_members(
    stream: IO[bytes], _: bytes, wanted: Wanted, budget: Budget
) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the files that a Debian package installs, as `tar_members`. Raises `MalformedError`."""
    stream.seek(8)
    while len(header := stream.read(60)) == 60:
        name, digits = header[:16].rstrip(b" /"), header[48:58].strip()
        if header[58:] != b"`\n" or not digits.isdigit():
            raise MalformedError("the Debian package has a member without a header")
        start, size = stream.tell(), int(digits)
        if name.startswith(b"data.tar"):
            with io.BufferedReader(_Part(stream, start, size)) as data:
                yield from tar_members(data, data.peek(8), wanted, budget)
            return
        stream.seek(start + size + size % 2)
    raise MalformedError("the Debian package has no data.tar")


class _Counted:
    """A stream that counts what was read of it, bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.total = 0
        self._stream = stream

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self.total += len(piece)
        return piece


class _Part(io.RawIOBase):
    """A stretch of an open file."""

    def __init__(self, stream: IO[bytes], start: int, size: int) -> None:
        super().__init__()
        self._stream, self._left = stream, size
        stream.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        piece = self._stream.read(min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)


def _plain(stream: IO[bytes], head: bytes) -> IO[bytes]:
    """Return the stream uncompressed, by its first bytes."""
    for magic, opened in _COMPRESSED.items():
        if head.startswith(magic):
            return opened(stream)
    return stream
