"""One .deb file: an ar archive whose member data.tar.* holds the files (deb(5)).

Maintainer scripts are never run, and the control member is not even looked at.
"""

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

from strixforge.sources.unpacking import Guard, explained, unpack_tar

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_MAGIC = b"!<arch>\n"
_HEADER = 60  # bytes: name 16, time 12, owner 6, group 6, mode 8, size 10, end 2
_END = b"`\n"


class _Member(io.RawIOBase):
    """One member of the archive, read where it lies: rocBLAS's has 280 MB."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = min(max(base + offset, 0), self._size)
        return self._at

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        self._file.seek(self._start + self._at)
        content = self._file.read(min(len(view), self._size - self._at))
        view[: len(content)] = content
        self._at += len(content)
        return len(content)


def unpack_deb(deb: Path, target: Path, guard: Guard) -> None:
    """Unpack the files of a .deb into the folder `target`. Raises ArchiveError."""
    with explained(deb), deb.open("rb") as file:
        unpack_tar(_data(file), target, guard)


def _data(file: IO[bytes]) -> IO[bytes]:
    """Return the member data.tar.*. Raises ValueError when the file is not such an archive."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is not an ar archive")
    first = True
    while header := file.read(_HEADER):
        size = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != _END or not size.isdigit():
            raise ValueError("a member's header is damaged")
        name = header[:16].rstrip().rstrip(b"/")
        if first and name != b"debian-binary":
            raise ValueError("it does not begin with debian-binary")
        first = False
        if name.startswith(b"data.tar"):
            start = file.tell()
            if file.seek(0, io.SEEK_END) - start < int(size):  # before memory is asked for
                raise ValueError("it is cut off")
            return io.BufferedReader(_Member(file, start, int(size)))
        file.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise ValueError("it has no data.tar")
