"""ELF headers, sections and notes, read in place from a buffer.

By `struct` rather than pyelftools: thousands of images lie nested in one file and pyelftools wants
a stream of its own for each, and it believes what hostile headers say (0.33 reports 2**40 sections
for a file of 128 bytes, and reads unterminated names to the end of the file).
"""

import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass

from strixforge.audit.bounds import MalformedError, part

MAGIC = b"\x7fELF"
EM_AMDGPU = 224
NT_AMDGPU_METADATA = 32
_PT_LOAD, _PT_NOTE = 1, 4
_SHT_STRTAB, _SHT_NOTE, _SHT_NOBITS, _SHT_DYNSYM = 3, 7, 8, 11
_SHN_XINDEX = 0xFFFF
# Longer than any section name we look for; bundle ids stand in some of them.
_LONGEST_NAME = 256
_SYMBOLS = {_SHT_DYNSYM: ".dynsym", _SHT_STRTAB: ".dynstr"}
_STT_FUNC = 2
# Those of hipBLASLt's largest file take 2 MB.
_MOST_NAMES = 64 << 20
# Several names may share their end; all of a table together, each read for itself, stay below this
# many times the table, or a small file would cost any amount of work.
_MOST_SHARED = 64


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its name, and its bytes in the file (none for SHT_NOBITS)."""

    name: str
    kind: int
    data: memoryview


class Elf:
    """The parts of one ELF image that an audit needs. `data` starts with the ELF magic.

    Raises `MalformedError`, here and in every method, where headers are cut short or contradict the
    size of the image. Both classes and byte orders are read: `images` decides what it wants.
    """

    def __init__(self, data: memoryview) -> None:
        """Read the ELF header."""
        self.data = data
        ident = bytes(part(data, 0, 16, "the ELF identification"))
        order = {1: "<", 2: ">"}.get(ident[5])
        if ident[:4] != MAGIC or ident[4] not in (1, 2) or order is None:
            raise MalformedError("the ELF identification is not valid")
        self.wide = ident[4] == 2
        self.little_endian = order == "<"
        self.os_abi, self.abi_version = ident[7], ident[8]
        self._order = order
        word = "Q" if self.wide else "I"
        header = self._unpack(f"HHI{word}{word}{word}IHHHHHH", 16, "the ELF header")
        self.machine, self.flags = header[1], header[6]
        self._segment_table, self._section_table = header[4], header[5]
        self._segment_size, self._segment_count = header[8], header[9]
        self._section_size, self._section_count, self._names_index = header[10:13]

    def _unpack(self, layout: str, offset: int, what: str) -> tuple[int, ...]:
        layout = self._order + layout
        return struct.unpack(layout, part(self.data, offset, struct.calcsize(layout), what))

    def sections(self) -> Iterator[Section]:
        """Yield every section but the first, empty one; nothing when there is no section table."""
        names = None
        for header in self._section_headers():
            names = self._names() if names is None else names
            yield Section(_name(names, header[0]), header[1], self._contents(header))

    def functions(self, wanted: Set[str]) -> dict[str, memoryview]:
        """Return the code of functions in the dynamic symbol table, by their names."""
        table, texts = self._symbols()
        if len(texts) > _MOST_NAMES:
            raise MalformedError(f"the names of symbols take {len(texts)} bytes")
        names = bytes(texts)
        segments = list(self._loaded())
        keys = {name.encode(): name for name in wanted}
        longest = max(map(len, keys), default=0) + 1
        left = _MOST_SHARED * len(names)
        found = {}
        rows = struct.iter_unpack(f"{self._order}IBBHQQ", table[: len(table) // 24 * 24])
        for at, info, _, _, address, size in rows if self.wide else ():
            if info & 0xF == _STT_FUNC and at < len(names):
                end = names.find(b"\0", at, at + longest)
                text = names[at : end if end >= 0 else at + longest]
                left -= len(text)
                if left < 0:
                    raise MalformedError("the names of symbols overlap")
                if (name := keys.get(text)) is not None:
                    found[name] = _within(segments, address, size)
        return found

    def _symbols(self) -> tuple[memoryview, memoryview]:
        """Return the dynamic symbol table and its names, empty where there are none."""
        found = {}
        names = None
        for header in self._section_headers():
            if header[1] in _SYMBOLS:
                names = self._names() if names is None else names
                name = _name(names, header[0])
                if name == _SYMBOLS[header[1]]:
                    found[name] = self._contents(header)
        table, texts = (found.get(name, memoryview(b"")) for name in _SYMBOLS.values())
        return table, texts

    def _loaded(self) -> Iterator[tuple[int, memoryview]]:
        """Yield address and bytes of each loaded segment."""
        for kind, header in self._segments():
            if kind == _PT_LOAD and self.wide:
                yield header[3], part(self.data, header[2], header[5], "a segment")

    def _section_headers(self) -> Iterator[tuple[int, ...]]:
        """Yield the headers of all sections but the first, whose fields may stand for others."""
        if self._section_table:
            count = self._section_count or self._section_header(0)[5]
            size = self._section_size
            table = part(self.data, self._section_table, count * size, "the section table")
            row = self._section_row()
            for at in range(size, count * size, size):
                yield row.unpack_from(table, at)

    def _section_header(self, index: int) -> tuple[int, ...]:
        row = self._section_row()
        offset = self._section_table + index * self._section_size
        return row.unpack(part(self.data, offset, row.size, "a section header"))

    def _section_row(self) -> struct.Struct:
        row = struct.Struct(self._order + ("IIQQQQIIQQ" if self.wide else "IIIIIIIIII"))
        if self._section_size < row.size:
            raise MalformedError(f"section headers of {self._section_size} bytes are too small")
        return row

    def _names(self) -> memoryview:
        """Return the names of sections. Counts and indexes above 0xff00 stand in the first one."""
        index = self._names_index
        index = index if index != _SHN_XINDEX else self._section_header(0)[6]
        return self._contents(self._section_header(index))

    def _contents(self, header: tuple[int, ...]) -> memoryview:
        size = 0 if header[1] == _SHT_NOBITS else header[5]
        return part(self.data, header[4] if size else 0, size, "a section")

    @property
    def has_sections(self) -> bool:
        """Whether there is a section table at all."""
        return self._section_table != 0

    def _segments(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield kind and header of each segment."""
        layout = "IIQQQQQQ" if self.wide else "IIIIIIII"
        if self._segment_count and self._segment_size < struct.calcsize(self._order + layout):
            raise MalformedError(f"program headers of {self._segment_size} bytes are too small")
        for index in range(self._segment_count):
            offset = self._segment_table + index * self._segment_size
            header = self._unpack(layout, offset, "a program header")
            yield header[0], header

    def note_regions(self) -> list[memoryview]:
        """Return the bytes of all note segments, else (in relocatable files) note sections.

        Checks that every loaded segment lies in the image: a cut-off image is not passed.
        """
        regions = []
        for kind, header in self._segments():
            start, size = (header[2], header[5]) if self.wide else (header[1], header[4])
            if kind in (_PT_LOAD, _PT_NOTE):
                segment = part(self.data, start, size, "a segment")
                if kind == _PT_NOTE:
                    regions.append(segment)
        # Walking the table also checks that every section lies in the image.
        contents = ((header[1], self._contents(header)) for header in self._section_headers())
        sections = [data for kind, data in contents if kind == _SHT_NOTE]
        return regions or sections

    def notes(self, owner: bytes, kind: int) -> Iterator[memoryview]:
        """Yield the contents of every note of this owner (without its NUL) and kind."""
        regions = self.note_regions()
        if sum(len(region) for region in regions) > len(self.data):
            raise MalformedError("notes overlap")
        row = struct.Struct(self._order + "III")
        wanted = owner + b"\0"
        for region in regions:
            offset = 0
            while offset < len(region):
                if offset + row.size > len(region):
                    raise MalformedError("a note header is cut off")
                name_size, size, note_kind = row.unpack_from(region, offset)
                name = offset + row.size
                start = name + (name_size + 3 & ~3)
                if start + size > len(region):
                    raise MalformedError(f"a note at byte {offset} is cut off")
                if note_kind == kind and region[name : name + len(wanted)] == wanted:
                    yield region[start : start + size]
                offset = start + (size + 3 & ~3)


def _name(names: memoryview, at: int) -> str:
    """Return the text at an offset, up to its NUL."""
    text = bytes(names[at : at + _LONGEST_NAME]).split(b"\0", 1)[0]
    return text.decode("ascii", "replace")


def _within(segments: list[tuple[int, memoryview]], address: int, size: int) -> memoryview:
    """Return the bytes at an address. Raises `MalformedError` where no segment has them."""
    for start, data in segments:
        if start <= address < start + len(data):
            return part(data, address - start, size, "a function")
    if size:
        raise MalformedError(f"a function at {address:#x} lies in no segment")
    return memoryview(b"")
