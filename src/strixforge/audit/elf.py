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
_SHT_NOTE, _SHT_NOBITS = 7, 8
_SHN_XINDEX = 0xFFFF
# Longer than any section name we look for; bundle ids stand in some of them.
_LONGEST_NAME = 256
_SYMBOLS = (".dynsym", ".dynstr")
_STT_FUNC = 2
# Mangled names of templates run to some thousand characters.
_LONGEST_SYMBOL = 1 << 16


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
        if self._section_table == 0:
            return
        first = self._section_header(0)
        # Counts above 0xff00 stand in the first header.
        count = self._section_count or first[5]
        names_index = self._names_index if self._names_index != _SHN_XINDEX else first[6]
        part(self.data, self._section_table, count * self._section_size, "the section table")
        names = self._contents(self._section_header(names_index))
        for index in range(1, count):
            header = self._section_header(index)
            name = bytes(names[header[0] : header[0] + _LONGEST_NAME]).split(b"\0", 1)[0]
            yield Section(name.decode("ascii", "replace"), header[1], self._contents(header))

    def functions(self, wanted: Set[str]) -> dict[str, memoryview]:
        """Return the code of functions in the dynamic symbol table, by their names."""
        tables = {one.name: one.data for one in self.sections() if one.name in _SYMBOLS}
        table, names = (tables.get(name, memoryview(b"")) for name in _SYMBOLS)
        segments = list(self._loaded())
        found = {}
        for offset in range(0, len(table) - 23, 24) if self.wide else ():
            name, info = struct.unpack_from(f"{self._order}IB", table, offset)
            address, size = struct.unpack_from(f"{self._order}QQ", table, offset + 8)
            if info & 0xF == _STT_FUNC and name < len(names):
                text = bytes(names[name : name + _LONGEST_SYMBOL]).split(b"\0", 1)[0]
                name_text = text.decode("ascii", "replace")
                if name_text in wanted:
                    found[name_text] = _within(segments, address, size)
        return found

    def _loaded(self) -> Iterator[tuple[int, memoryview]]:
        """Yield address and bytes of each loaded segment."""
        for kind, header in self._segments():
            if kind == _PT_LOAD and self.wide:
                yield header[3], part(self.data, header[2], header[5], "a segment")

    def _section_header(self, index: int) -> tuple[int, ...]:
        layout = "IIQQQQIIQQ" if self.wide else "IIIIIIIIII"
        if self._section_size < struct.calcsize(self._order + layout):
            raise MalformedError(f"section headers of {self._section_size} bytes are too small")
        offset = self._section_table + index * self._section_size
        return self._unpack(layout, offset, f"section header {index}")

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
            header = self._unpack(layout, offset, f"program header {index}")
            yield header[0], header

    def note_regions(self) -> list[memoryview]:
        """Return the bytes of all note segments, else (in relocatable files) note sections.

        Checks that every loaded segment lies in the image: a cut-off image is not passed.
        """
        regions = []
        for index, (kind, header) in enumerate(self._segments()):
            start, size = (header[2], header[5]) if self.wide else (header[1], header[4])
            if kind in (_PT_LOAD, _PT_NOTE):
                segment = part(self.data, start, size, f"segment {index}")
                if kind == _PT_NOTE:
                    regions.append(segment)
        # Walking the table also checks that every section lies in the image.
        sections = [section.data for section in self.sections() if section.kind == _SHT_NOTE]
        return regions or sections

    def notes(self, owner: bytes, kind: int) -> Iterator[memoryview]:
        """Yield the contents of every note of this owner (without its NUL) and kind."""
        regions = self.note_regions()
        if sum(len(region) for region in regions) > len(self.data):
            raise MalformedError("notes overlap")
        for region in regions:
            offset = 0
            while offset < len(region):
                header = part(region, offset, 12, "a note header")
                name_size, size, note_kind = struct.unpack(self._order + "III", header)
                name = part(region, offset + 12, name_size, "a note's owner")
                start = offset + 12 + (name_size + 3 & ~3)
                contents = part(region, start, size, "a note")
                if note_kind == kind and bytes(name[: len(owner) + 1]) == owner + b"\0":
                    yield contents
                offset = start + (size + 3 & ~3)


def _within(segments: list[tuple[int, memoryview]], address: int, size: int) -> memoryview:
    """Return the bytes at an address. Raises `MalformedError` where no segment has them."""
    for start, data in segments:
        if start <= address < start + len(data):
            return part(data, address - start, size, "a function")
    if size:
        raise MalformedError(f"a function at {address:#x} lies in no segment")
    return memoryview(b"")
