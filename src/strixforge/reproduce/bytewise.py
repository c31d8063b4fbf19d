"""Where two files that are no archives differ: the first byte, its section or line, and a clue."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

_CHUNK = 1 << 20
_TEXT = 4 << 20
"""Bytes of a file above which its lines are not looked at."""
_AROUND = 160
"""Bytes before and after the first difference in which clues are looked for."""
_SHOWN = 60
_ELF = b"\x7fELF"
_BUILD_ID = ".note.gnu.build-id"


@dataclass(frozen=True, slots=True)
class Trace:
    """What a circumstance leaves behind, if it leaks: a path, a name, a number."""

    name: str
    here: str
    elsewhere: str


def first_difference(one: Path, other: Path) -> int | None:
    """Return the offset of the first byte that differs, or None."""
    at = 0
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            a, b = left.read(_CHUNK), right.read(_CHUNK)
            if a != b:
                short = min(len(a), len(b))
                return at + next((i for i in range(short) if a[i] != b[i]), short)
            if not a:
                return None
            at += len(a)


def explain(one: Path, other: Path, at: int, traces: Iterable[Trace]) -> tuple[str, str]:
    """Return where two files differ, and what that looks like; the latter may be empty."""
    sizes = one.stat().st_size, other.stat().st_size
    where = f"differs from byte {at} on"
    if sizes[0] != sizes[1]:
        where += f", sizes {sizes[0]} and {sizes[1]}"
    texts = _text(one), _text(other)
    if texts[0] is not None and texts[1] is not None:
        number, left, right = _line(texts[0], texts[1])
        shown = f"line {number}: {_short(left, right)} -> {_short(right, left)}"
        order = sorted(texts[0].splitlines()) == sorted(texts[1].splitlines())
        clue = "the same lines in another order" if order else _clue(left, right, traces)
        return shown, clue
    left, right = _around(one, at), _around(other, at)
    sections = _sections(one, other)
    names = [section.name for section in sections]
    if names == [_BUILD_ID]:
        return f"only the build ID ({where})", "a build ID made of something that is stripped"
    if sections:
        where += f"; in {', '.join(names[:6])}{' …' if len(names) > 6 else ''}"
        # The build ID follows from all others.
        best = next(section for section in sections if section.name != _BUILD_ID)
        left, right = best.here, best.elsewhere
    return where, _clue(left, right, traces)


def _text(path: Path) -> str | None:
    if path.stat().st_size > _TEXT:
        return None
    data = path.read_bytes()
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _line(one: str, other: str) -> tuple[int, str, str]:
    """Return the first line that differs: its number from 1, and both texts."""
    left, right = one.split("\n"), other.split("\n")
    number = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
    if number is None:
        number = min(len(left), len(right))
    return number + 1, "".join(left[number : number + 1]), "".join(right[number : number + 1])


def _short(text: str, other: str) -> str:
    """Return a line, quoted; of a long one what is around its first difference to `other`."""
    if len(text) <= _SHOWN:
        return repr(text)
    pairs = zip(text, other, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
    start = max(0, at - _SHOWN // 2)
    part = repr(text[start : start + _SHOWN])
    return f"{'…' if start else ''}{part}{'…' if start + _SHOWN < len(text) else ''}"


def _around(path: Path, at: int) -> str:
    start = max(0, at - _AROUND)
    with path.open("rb") as file:
        file.seek(start)
        return file.read(2 * _AROUND).decode("latin-1")


_DATES = re.compile(
    r"\b(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]|[0-2][0-9]:[0-5][0-9]:[0-5][0-9]|\b1[5-9][0-9]{8}\b"
    r"|\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +[0-3]?[0-9]\b"
)
_UUID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_HASH = re.compile(r"[0-9a-f]{16,}", re.IGNORECASE)
_ADDRESS = re.compile(r"\b0x[0-9a-f]{8,16}\b")
_WORD = re.compile(r"[^\s,;:=()\[\]{}\"'<>\0]+")


def _clue(left: str, right: str, traces: Iterable[Trace]) -> str:
    """Return what two different pieces of a file look like, or nothing."""
    words = set(_WORD.findall(left)), set(_WORD.findall(right))
    for trace in sorted(traces, key=lambda one: -len(one.here)):
        if trace.here == trace.elsewhere:
            continue
        exact = trace.here in words[0] - words[1] and trace.elsewhere in words[1] - words[0]
        within = len(trace.here) > 7 and trace.here in left and trace.elsewhere in right
        if exact or within:
            return f"the {trace.name}: {trace.here} -> {trace.elsewhere}"
    for pattern, meaning in (
        (_UUID, "an identifier that is made anew each time"),
        (_ADDRESS, "an address in memory"),
        (_DATES, "the clock: SOURCE_DATE_EPOCH is not looked at"),
        (_HASH, "a hash of something that differs, or a random number"),
    ):
        found = [[match[0] for match in pattern.finditer(text)] for text in (left, right)]
        if found[0] and found[1] and found[0] != found[1]:
            return meaning
    return ""


@dataclass(frozen=True, slots=True)
class _Section:
    """A section of two ELF files that differs, with what is around its first difference."""

    name: str
    here: str
    elsewhere: str


def _sections(one: Path, other: Path) -> list[_Section]:
    """Return the sections of two ELF files that differ, or nothing for other files."""
    found = []
    try:
        with one.open("rb") as left, other.open("rb") as right:
            if left.read(4) != _ELF or right.read(4) != _ELF:
                return []
            here, there = ({s.name: s for s in ELFFile(f).iter_sections()} for f in (left, right))
            for name in here | there:
                a, b = _content(here.get(name)), _content(there.get(name))
                if a != b:
                    short = min(len(a), len(b))
                    at = next((i for i in range(short) if a[i] != b[i]), short)
                    found.append(_Section(name, _window(a, at), _window(b, at)))
    except (ELFError, OSError, ValueError, AssertionError, UnicodeDecodeError):
        return []
    return found


def _content(section: Any) -> bytes:
    """Return the bytes of a section; none for one that is not there, or takes no room."""
    if section is None or section["sh_type"] == "SHT_NOBITS":
        return b""
    return bytes(section.data())


def _window(data: bytes, at: int) -> str:
    return data[max(0, at - _AROUND) : at + _AROUND].decode("latin-1")
