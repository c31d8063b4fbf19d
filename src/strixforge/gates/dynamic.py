"""What the dynamic loader reads of an ELF file: names, places to look, versions and symbols.

By `struct`: pyelftools makes an object of each symbol, and large libraries have 100,000 of them;
and it believes the counts of hostile headers. Sources: the ELF gABI, chapter 5, "Dynamic Linking";
the LSB's "Symbol Versioning"; glibc's elf/dl-lookup.c for the hash tables.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from strixforge.audit.bounds import MalformedError, part

MAGIC = b"\x7fELF"
_X86_64 = 62
_ET_EXEC, _ET_DYN = 2, 3
_PT_LOAD, _PT_DYNAMIC = 1, 2
_SHT_DYNSYM = 11
_NEEDED, _HASH, _STRTAB, _SYMTAB, _SONAME, _RPATH, _RUNPATH = 1, 4, 5, 6, 14, 15, 29
_GNU_HASH, _VERSYM, _VERNEED, _VERNEEDNUM = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFE, 0x6FFFFFFF
_SYMBOL = struct.Struct("<IBBHQQ")
_GLOBAL, _WEAK, _UNIQUE = 1, 2, 10
_VERSION_IS_WEAK = 2  # elf.h: VER_FLG_WEAK, a version that may be missing
_HIDDEN = 0x8000
# Real files need a few dozen; the list of a hostile one may have no end.
_MOST_VERSIONS = 4096
_MOST_TAGS = 4096
_MOST_SEGMENTS = 1024
# Mangled names of templates run to some thousand characters.
_LONGEST_NAME = 1 << 16
# All names of one file together; the largest real tables have tens of MB.
_MOST_NAMES = 256 << 20


@dataclass(frozen=True, slots=True)
class Version:
    """A symbol version that a file needs of a library: libc.so.6, GLIBC_2.38."""

    library: str
    name: str
    weak: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """A symbol that a file cannot be loaded without."""

    name: str
    version: Version | None


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The dynamic section of one ELF file for x86-64."""

    soname: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    """Entries of DT_RUNPATH, else DT_RPATH."""
    versions: tuple[Version, ...]
    wanted: tuple[Wanted, ...]
    exports: frozenset[str]


def read_dynamic(data: memoryview) -> Dynamic | None:
    """Return the dynamic section of a library or program for x86-64, None for other files.

    Raises MalformedError where what the loader would follow leads out of the file.
    """
    if len(data) < 64 or data[:6] != MAGIC + b"\x02\x01":  # 64 bits, little-endian
        return None
    kind, machine = struct.unpack_from("<HH", data, 16)
    if machine != _X86_64 or kind not in (_ET_EXEC, _ET_DYN):
        return None
    segments = list(_segments(data))
    found = next((one for one in segments if one[0] == _PT_DYNAMIC), None)
    if found is None:
        return None
    return _File(data, segments, part(data, found[1], found[3], "the dynamic section")).read()


def _segments(data: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Yield kind, offset, address and size of each segment."""
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    if count > _MOST_SEGMENTS or (count and size < 56):
        raise MalformedError(f"{count} program headers of {size} bytes")
    for index in range(count):
        header = part(data, table + index * size, 56, f"program header {index}")
        kind, _, offset, address, _, length, _, _ = struct.unpack("<IIQQQQQQ", header)
        yield kind, offset, address, length


class _File:
    """One file whose dynamic section is read."""

    def __init__(
        self, data: memoryview, segments: list[tuple[int, int, int, int]], section: memoryview
    ) -> None:
        self.data = data
        self.loaded = [one[1:] for one in segments if one[0] == _PT_LOAD]
        self.tags: list[tuple[int, int]] = []
        for tag, value in struct.iter_unpack("<QQ", section[: len(section) // 16 * 16]):
            if tag == 0:
                break
            self.tags.append((tag, value))
            if len(self.tags) > _MOST_TAGS:
                raise MalformedError(f"more than {_MOST_TAGS} dynamic tags")
        self.values = dict(reversed(self.tags))  # the first of each counts
        self.names_left = _MOST_NAMES
        self.texts = self._place(_STRTAB)

    def read(self) -> Dynamic:
        runpath = self._all(_RUNPATH) or self._all(_RPATH)
        versions = self._needed_versions()
        wanted, exports = self._symbols(versions)
        return Dynamic(
            soname="".join(self._all(_SONAME)[:1]),
            needed=tuple(dict.fromkeys(self._all(_NEEDED))),
            rpath=tuple(entry for entry in ":".join(runpath).split(":") if entry),
            versions=tuple(dict.fromkeys(versions.values())),
            wanted=wanted,
            exports=exports,
        )

    def _place(self, tag: int) -> int | None:
        """Return the offset of the table that a tag gives the address of."""
        address = self.values.get(tag)
        if address is None:
            return None
        for offset, start, size in self.loaded:
            if start <= address < start + size:
                return offset + address - start
        raise MalformedError(f"the table of dynamic tag {tag:#x} lies outside of the file")

    def _all(self, wanted: int) -> list[str]:
        return [self._text(value) for tag, value in self.tags if tag == wanted]

    def _text(self, offset: int) -> str:
        if self.texts is None:
            raise MalformedError("names without a table of names")
        start = self.texts + offset
        length = 64
        while True:  # short first: most names are
            text = bytes(self.data[start : start + length])
            end = text.find(b"\0")
            if end >= 0:
                break
            if len(text) < length or length > _LONGEST_NAME:
                raise MalformedError(f"the name at byte {start} does not end")
            length *= 4
        self.names_left -= end
        if self.names_left < 0:
            raise MalformedError(f"names of more than {_MOST_NAMES} bytes")
        return text[:end].decode("utf-8", "backslashreplace")

    def _needed_versions(self) -> dict[int, Version]:
        """Return the versions that the file needs, by the number that symbols have for them."""
        place = self._place(_VERNEED)
        found: dict[int, Version] = {}
        left = _MOST_VERSIONS
        for _ in range(min(self.values.get(_VERNEEDNUM, 0), _MOST_VERSIONS)):
            if place is None:
                break
            entry = part(self.data, place, 16, "a needed library's versions")
            _, count, file, first, following = struct.unpack("<HHIII", entry)
            at = place + first
            for _ in range(count):
                left -= 1
                if left < 0:
                    raise MalformedError(f"more than {_MOST_VERSIONS} needed versions")
                _, flags, number, name, step = struct.unpack(
                    "<IHHII", part(self.data, at, 16, "a needed version")
                )
                found[number & ~_HIDDEN] = Version(
                    self._text(file), self._text(name), bool(flags & _VERSION_IS_WEAK)
                )
                at += step
            place = place + following if following else None
        return found

    def _symbols(self, versions: dict[int, Version]) -> tuple[tuple[Wanted, ...], frozenset[str]]:
        place = self._place(_SYMTAB)
        if place is None:
            return (), frozenset()
        count = self._symbol_count(place)
        table = part(self.data, place, count * _SYMBOL.size, "the dynamic symbol table")
        numbers = None
        versym = self._place(_VERSYM)
        if versym is not None:
            numbers = part(self.data, versym, count * 2, "the table of versions").cast("H")
        wanted, exports = [], set()
        for index, (name, info, _, section, _, _) in enumerate(_SYMBOL.iter_unpack(table)):
            binding = info >> 4
            if not name:
                continue
            if section:
                if binding in (_GLOBAL, _WEAK, _UNIQUE):
                    exports.add(self._text(name))
            elif binding == _GLOBAL:
                number = numbers[index] & ~_HIDDEN if numbers is not None else 0
                wanted.append(Wanted(self._text(name), versions.get(number)))
        return tuple(wanted), frozenset(exports)

    def _symbol_count(self, place: int) -> int:
        """Return the size of the symbol table, which the dynamic section does not say.

        The section table says it. Where that is stripped the hash tables do; an empty one of GNU's
        form does not count symbols that the file only wants.
        """
        counts = [1]
        (table,) = struct.unpack_from("<Q", self.data, 40)
        size, number = struct.unpack_from("<HH", self.data, 58)
        if table and size >= 64:
            for index in range(number):
                header = part(self.data, table + index * size, 64, f"section header {index}")
                kind, offset, length = struct.unpack_from("<4xI16xQQ", header)
                if kind == _SHT_DYNSYM and offset == place:
                    counts.append(length // _SYMBOL.size)
        plain = self._place(_HASH)
        if plain is not None:
            counts.append(struct.unpack("<I", part(self.data, plain + 4, 4, "the hash table"))[0])
        gnu = self._place(_GNU_HASH)
        if gnu is not None:
            counts.append(self._gnu_count(gnu))
        return max(counts)

    def _gnu_count(self, place: int) -> int:
        header = part(self.data, place, 16, "the hash table")
        buckets, first, bloom, _ = struct.unpack("<IIII", header)
        start = place + 16 + bloom * 8
        table = part(self.data, start, buckets * 4, "the hash table's buckets").cast("I")
        last = max(table, default=0)
        if last < first:
            return 0  # nothing is exported
        at = start + buckets * 4 + (last - first) * 4
        while not struct.unpack("<I", part(self.data, at, 4, "a chain of the hash table"))[0] & 1:
            at, last = at + 4, last + 1
        return last + 1
