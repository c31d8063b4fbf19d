"""What is inside an archive, one way for zip, tar and ar: names in order, facts, and bytes."""

import contextlib
import gzip
import io
import lzma
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

_AR = b"!<arch>\n"
UNREADABLE = (
    *(OSError, EOFError, ValueError, RuntimeError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What the libraries raise for a file that is no archive, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str
    facts: dict[str, str]
    """What the archive says of it beside its bytes: time, mode, owner."""
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that could be read."""

    kind: str
    """zip, tar, ar or gzip."""
    members: list[Member]
    """In the order of the archive. One name may stand twice."""


@contextmanager
def opened(path: Path) -> Iterator[Archive | None]:
    """Open an archive, or yield None for a file that is none, or cannot be read as one."""
    with contextlib.ExitStack() as stack:
        try:
            archive = _open(path, stack)
        except UNREADABLE:
            archive = None
        yield archive


def _open(path: Path, stack: contextlib.ExitStack) -> Archive | None:
    with path.open("rb") as file:
        start = file.read(len(_AR))
    if start[:2] == b"PK":
        zipped = stack.enter_context(zipfile.ZipFile(path))
        return Archive("zip", [_of_zip(zipped, one) for one in zipped.infolist()])
    if start == _AR:
        return Archive("ar", list(_of_ar(path)))
    try:
        tar = stack.enter_context(tarfile.open(path))  # noqa: SIM115
        return Archive("tar", [_of_tar(tar, one) for one in tar.getmembers()])
    except UNREADABLE:
        return Archive("gzip", [_of_gzip(path)]) if start[:2] == b"\x1f\x8b" else None


def _of_zip(zipped: zipfile.ZipFile, one: zipfile.ZipInfo) -> Member:
    year, month, day, hour, minute, second = one.date_time
    facts = {
        "time": f"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}",
        "mode": f"{one.external_attr >> 16:o}",
        "compression": str(one.compress_type),
        "system": str(one.create_system),
        "extra field": one.extra.hex(),
    }
    return Member(one.filename, facts, lambda: zipped.open(one))


def _of_tar(tar: tarfile.TarFile, one: tarfile.TarInfo) -> Member:
    facts = {
        "time": _day(int(one.mtime)),
        "mode": f"{one.mode:o}",
        "owner": f"{one.uid}:{one.gid} {one.uname}:{one.gname}",
        "type": f"{one.type.decode(errors='replace')} {one.linkname}".strip(),
    }
    return Member(one.name, facts, lambda: tar.extractfile(one) or io.BytesIO())


def _of_gzip(path: Path) -> Member:
    with path.open("rb") as file:
        head = file.read(10)
    facts = {"time": _day(int.from_bytes(head[4:8], "little")), "system": str(head[9])}
    return Member("content", facts, lambda: cast(IO[bytes], gzip.open(path)))


def _of_ar(path: Path) -> Iterator[Member]:
    """Yield the members of a static library: 60 bytes of text before each (ar(5))."""
    with path.open("rb") as file:
        names = b""
        at = len(_AR)
        while True:
            file.seek(at)
            head = file.read(60)
            if len(head) < 60 or head[58:] != b"`\n":
                return
            size = int(head[48:58])
            raw, start = head[:16].rstrip(), at + 60
            at = start + size + size % 2
            if raw == b"//":
                names = file.read(size)
            elif raw[:1] == b"/" and raw[1:].isdigit():
                raw = names[int(raw[1:]) :].split(b"\n", 1)[0]
            name = raw.decode(errors="replace")
            facts = {
                "time": _day(int(head[16:28] or b"0")),
                "owner": b":".join(head[28:40].split()).decode(errors="replace"),
                "mode": head[40:48].strip().decode(errors="replace"),
            }
            yield Member(name.rstrip("/") or name, facts, _reader(path, start, size))


def _reader(path: Path, start: int, size: int) -> Callable[[], IO[bytes]]:
    def read() -> IO[bytes]:
        with path.open("rb") as file:
            file.seek(start)
            return io.BytesIO(file.read(size))

    return read


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
