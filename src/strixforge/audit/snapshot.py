"""The kernels of one target as plain data, and as a small file to compare with later.

The file is JSON, compressed with zstd where its name ends in .zst: docs/reference/audit.md has its
keys. It holds no path of a machine and no time, so the same kernels make the same bytes.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zstandard

from strixforge.audit.bodies import Body
from strixforge.audit.bounds import Budget, MalformedError
from strixforge.audit.files import Files, collect
from strixforge.audit.kernels import Kernel
from strixforge.audit.targets import covers

FORMAT = "strixforge kernels"
SCHEMA = 1
_ZSTD = b"\x28\xb5\x2f\xfd"
_HEAD = 256
_STARTS = re.compile(rb'\s*\{\s*"format"\s*:\s*"strixforge kernels"')
_PIECE = 1 << 20
_LEVEL = 10


class RecordError(Exception):
    """A reference cannot be read, or is of another target; the text says why."""


@dataclass(frozen=True, slots=True)
class KernelFile:
    """The kernels of one file, sorted."""

    name: str
    """Below the path that was looked at, then `!` and the member of each archive."""
    kernels: tuple[Kernel, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All kernels for a target that were found somewhere."""

    arch: str
    files: tuple[KernelFile, ...]
    """By name; only those with kernels."""
    unreadable: tuple[str, ...] = ()
    """What could not be read, with the reason: its kernels are not known."""

    @property
    def kernels(self) -> list[Kernel]:
        """Return all of them, file by file."""
        return [kernel for file in self.files for kernel in file.kernels]


def figures(kernel: Kernel) -> tuple[int | str, ...]:
    """Return what is known of a kernel but its name, to sort by: the costliest last."""
    spills, waves = (kernel.vgpr_spills, kernel.sgpr_spills), (kernel.vgprs, kernel.wavefront)
    return (
        *spills,
        kernel.scratch,
        *waves,
        kernel.lds,
        kernel.sgprs,
        kernel.text,
        kernel.body.value,
    )


def snapshot(found: Files, arch: str) -> Snapshot:
    """Return the kernels for a target such as gfx1151 among what was read."""
    by_name: dict[str, list[Kernel]] = {}
    for file in found.files.values():
        for one in file.objects:
            if covers(one.target, arch) and one.kernels:
                by_name.setdefault(file.below, []).extend(one.kernels)
    files = (
        KernelFile(name, tuple(sorted(kernels, key=lambda one: (one.name, figures(one)))))
        for name, kernels in sorted(by_name.items())
    )
    unreadable = tuple(
        f"{file.below}: {one.reason}" for file in found.files.values() for one in file.unreadable
    )
    return Snapshot(arch, tuple(files), unreadable)


class _Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    name: str
    vgprs: int
    sgprs: int
    vgpr_spills: int
    sgpr_spills: int
    scratch: int
    lds: int
    wavefront: int
    text: int
    body: Body


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    kernels: list[_Row]


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    schema: int
    arch: str
    columns: list[str]
    files: list[_File]


def write_record(taken: Snapshot, place: Path) -> None:
    """Write a snapshot as a file. Raises RecordError where something could not be read."""
    if taken.unreadable:
        raise RecordError(f"{taken.unreadable[0]}. What cannot be read cannot be recorded")
    rows = [
        _File(
            file.name,
            [_Row(*(getattr(one, f) for f in _Row.__struct_fields__)) for one in file.kernels],
        )
        for file in taken.files
    ]
    columns = list(_Row.__struct_fields__)
    text = msgspec.json.encode(_Record(FORMAT, SCHEMA, taken.arch, columns, rows))
    if place.name.endswith(".zst"):
        text = zstandard.ZstdCompressor(level=_LEVEL).compress(text)
    staged = place.with_name(f"{place.name}.new")
    staged.write_bytes(text)
    staged.replace(place)


def take(path: Path, arch: str) -> Snapshot:
    """Return the kernels of a recorded file, or of anything that an audit reads.

    Raises RecordError for a record that is damaged, or of another target.
    """
    if path.is_file() and (head := _unpacked(path, _HEAD)) and _STARTS.match(head):
        return _read_record(path, arch)
    return snapshot(collect([path], [arch]), arch)


def _unpacked(path: Path, most: int) -> bytes:
    """Return the first bytes of a file, decompressed if it is compressed; nothing if it cannot."""
    with path.open("rb") as stream:
        if stream.read(len(_ZSTD)) != _ZSTD:
            stream.seek(0)
            return stream.read(most)
        stream.seek(0)
        try:
            return zstandard.ZstdDecompressor().stream_reader(stream).read(most)
        except zstandard.ZstdError:
            return b""


def _contents(path: Path) -> bytes:
    budget = Budget.for_file(path.stat().st_size)
    pieces = []
    with path.open("rb") as stream:
        packed = stream.read(len(_ZSTD)) == _ZSTD
        stream.seek(0)
        source = zstandard.ZstdDecompressor().stream_reader(stream) if packed else stream
        while piece := source.read(_PIECE):
            budget.take(len(piece), "the record")
            pieces.append(piece)
    return b"".join(pieces)


def _read_record(path: Path, arch: str) -> Snapshot:
    try:
        record = msgspec.json.decode(_contents(path), type=_Record)
    except (MalformedError, zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} cannot be read: {error}") from None
    if record.schema != SCHEMA or record.columns != list(_Row.__struct_fields__):
        raise RecordError(f"{path} is of schema {record.schema}; schema {SCHEMA} is read")
    if record.arch != arch:
        raise RecordError(f"{path} holds kernels for {record.arch}, not for {arch}")
    files = (
        KernelFile(
            one.name,
            tuple(
                Kernel(*(getattr(row, f) for f in _Row.__struct_fields__)) for row in one.kernels
            ),
        )
        for one in record.files
    )
    return Snapshot(arch, tuple(files))
