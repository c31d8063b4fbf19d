"""Clang offload bundles, plain and compressed, one after the other in a file or section.

Source: llvm/llvm-project, clang/lib/Driver/OffloadBundler.cpp at commit
000390203c87508e7d1bbf2002bb9ce819cef1b8 (`BinaryFileHandler`, `RawCompressedBundleHeader`).
A plain bundle does not say how long it is: it ends with its last entry. A compressed one of
version 1 does not either: it ends with its compressed frame.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import zstandard

from strixforge.audit.bounds import Budget, MalformedError, part

PLAIN_MAGIC = b"__CLANG_OFFLOAD_BUNDLE__"
COMPRESSED_MAGIC = b"CCOB"
# One bundle holds one translation unit for a few targets; the largest known are tens of MB.
LARGEST_BUNDLE = 1 << 30
# Bundles are aligned to 4096 bytes; a longer run of zeros is no padding.
LONGEST_PADDING = 64 << 10
_LONGEST_LABEL = 1024
_MOST_ENTRIES = 1024
# Per version: the rest of the header after magic, version and method, and whether it has a total.
_COMPRESSED_HEADERS = {1: ("<IQ", False), 2: ("<IIQ", True), 3: ("<QQQ", True)}
# Compressed bytes fed at once. zstd can turn 4 KiB into 128 MiB at most, and returns all of it.
_PIECE = 4 << 10
# RFC 8878, 3.1.1: the magic number and the longest frame header.
_FRAME_HEADER = 18
_ZSTD = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a bundle: its id, such as `hipv4-amdgcn-amd-amdhsa--gfx1151`, and its bytes."""

    label: str
    data: memoryview

    @property
    def is_empty_host(self) -> bool:
        """Whether this is the empty entry that HIP writes for the host."""
        return not self.data and self.label.startswith("host-")


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle as it lies in a file."""

    data: memoryview
    """All of it; of a compressed one its frame alone."""
    size: int
    """Bytes, unpacked."""
    method: int | None
    """Of compression; None for a plain bundle."""

    def entries(self) -> Iterator[Entry]:
        """Unpack it, and yield its entries. Raises `MalformedError` for damage."""
        return _entries(self.data if self.method is None else self._unpacked(self.method))

    def _unpacked(self, method: int) -> memoryview:
        whole = _frame(self.data, self.size) if method == _ZSTD else None
        unpacked, used = whole or _inflate(_METHODS[method](), self.data, self.size)
        if used != len(self.data):
            raise MalformedError(f"a compressed bundle ends {len(self.data) - used} bytes early")
        return unpacked


def walk(data: memoryview, budget: Budget) -> Iterator[tuple[int, Bundle]]:
    """Yield each bundle in `data` with its ordinal, skipping zero padding; none is unpacked yet.

    Raises `MalformedError` at the first thing that is neither; what came before it stands.
    What each unpacks to is taken from `budget`, before it is yielded.
    """
    offset, ordinal = _skip_padding(data, 0), 0
    while offset < len(data):
        rest = data[offset:]
        if rest[:4] == COMPRESSED_MAGIC:
            bundle, used = _compressed(rest, budget)
        else:
            used = _plain_size(rest)
            bundle = Bundle(rest, used, None)
        yield ordinal, bundle
        offset, ordinal = _skip_padding(data, offset + used), ordinal + 1


def _skip_padding(data: memoryview, offset: int) -> int:
    window = bytes(data[offset : offset + LONGEST_PADDING])
    zeros = len(window) - len(window.lstrip(b"\0"))
    if zeros == LONGEST_PADDING and offset + zeros < len(data):
        raise MalformedError(f"more than {LONGEST_PADDING} bytes of zeros at byte {offset}")
    return offset + zeros


_Row = tuple[str, int, int]


def _table(bundle: memoryview) -> tuple[list[_Row], int]:
    """Return label, offset and size of each entry, and where the table of them ends."""
    if bundle[: len(PLAIN_MAGIC)] != PLAIN_MAGIC:
        raise MalformedError("this is not an offload bundle")
    position = len(PLAIN_MAGIC) + 8
    (count,) = struct.unpack("<Q", part(bundle, position - 8, 8, "the number of entries"))
    if count > _MOST_ENTRIES:
        raise MalformedError(f"a bundle claims {count} entries, {_MOST_ENTRIES} at most")
    rows: list[_Row] = []
    first, end = None, 0
    for index in range(count):
        row = part(bundle, position, 24, f"the header of entry {index} of {count}")
        start, size, label_size = struct.unpack("<QQQ", row)
        if label_size > _LONGEST_LABEL:
            raise MalformedError(f"the id of entry {index} claims {label_size} bytes")
        label = bytes(part(bundle, position + 24, label_size, f"the id of entry {index}"))
        position += 24 + label_size
        # clang-offload-bundler writes entries in order. Overlap would let a small file cost
        # any amount of work.
        if start < end:
            raise MalformedError(f"entry {index} overlaps the one before it")
        part(bundle, start, size, f"entry {index}")
        first, end = start if first is None and size else first, start + size
        rows.append((label.decode("ascii", "backslashreplace"), start, size))
    if first is not None and first < position:
        raise MalformedError("the first entry overlaps the header")
    return rows, position


def _plain_size(bundle: memoryview) -> int:
    # Empty entries may lie anywhere; a bundle that ended before its table would be read for ever.
    rows, end = _table(bundle)
    return max([end, *(start + size for _, start, size in rows)])


def _entries(bundle: memoryview) -> Iterator[Entry]:
    for label, start, size in _table(bundle)[0]:
        yield Entry(label, bundle[start : start + size])


def _compressed(data: memoryview, budget: Budget) -> tuple[Bundle, int]:
    """Return the compressed bundle that `data` begins with, and its size in bytes."""
    version, method = struct.unpack("<HH", part(data, 4, 4, "a compressed bundle's header"))
    if version not in _COMPRESSED_HEADERS:
        raise MalformedError(f"compressed bundle version {version} is not known")
    layout, has_total = _COMPRESSED_HEADERS[version]
    header_size = 8 + struct.calcsize(layout)
    fields = struct.unpack(layout, part(data, 8, header_size - 8, "a compressed bundle's header"))
    total, size = fields[:2] if has_total else (len(data), fields[0])
    if size > LARGEST_BUNDLE:
        raise MalformedError(f"a compressed bundle claims {size} bytes, {LARGEST_BUNDLE} at most")
    budget.take(size, "a compressed bundle")
    if method not in _METHODS:
        raise MalformedError(f"compression method {method} is not known")
    packed = part(data, header_size, total - header_size, "a compressed bundle")
    if not has_total:
        # Unpacked twice: here for its end alone. Such bundles are of years ago.
        packed = packed[: _inflate(_METHODS[method](), packed, size)[1]]
    return Bundle(packed, size, method), header_size + len(packed)


def _frame(packed: memoryview, size: int) -> tuple[memoryview, int] | None:
    """Return what `_inflate` would, at once, if all of `packed` is one frame that says its size.

    Clang's frames do; in pieces each takes twice as long. None where anything is amiss: it is
    read again in pieces, which says what. zstd allocates what the frame says, and no more.
    """
    try:
        if zstandard.frame_content_size(bytes(packed[:_FRAME_HEADER])) != size:
            return None
        unpacked = zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError:
        return None
    return memoryview(unpacked), len(packed)


def _inflate(stream: _Decompressor, packed: memoryview, size: int) -> tuple[memoryview, int]:
    """Return what `packed` unpacks to, exactly `size` bytes, and how many bytes that used."""
    unpacked, used = bytearray(), 0
    try:
        while not stream.eof and used < len(packed):
            piece = bytes(packed[used : used + _PIECE])
            unpacked += stream.decompress(piece)
            used += len(piece)
            if len(unpacked) > size:
                raise MalformedError(
                    f"a compressed bundle is larger than the {size} bytes it claims"
                )
    except (zlib.error, zstandard.ZstdError) as error:
        raise MalformedError(f"a compressed bundle is damaged: {error}") from error
    if not stream.eof or len(unpacked) != size:
        raise MalformedError(
            f"a compressed bundle has {len(unpacked)} of the {size} bytes it claims"
        )
    return memoryview(unpacked).toreadonly(), used - len(stream.unused_data)


_METHODS: dict[int, Callable[[], _Decompressor]] = {
    0: zlib.decompressobj,
    _ZSTD: lambda: zstandard.ZstdDecompressor().decompressobj(),
}
