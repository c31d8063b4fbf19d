"""Which glibc the libraries of a wheelhouse need."""

import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from strixforge.model.errors import GateError
from strixforge.release.elf import needed_glibc

# RuntimeError: an encrypted member, or packed in a way that zipfile does not know.
_DAMAGED = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Glibc:
    """The oldest glibc under which every library can be loaded."""

    version: str
    """Such as 2.38; empty when no library needs one."""
    file: str
    """One library that needs it, such as `prefixes/rocm-6.4.4.tar: lib/libx.so`; else empty."""


def highest_glibc(staged: Path) -> Glibc:
    """Return the highest glibc that a library in the wheels and prefixes of `staged` needs.

    Of several libraries the first by archive and name is named. Raises GateError for an archive
    that cannot be read.
    """
    highest, named = (0, 0), ""
    archives = [*staged.glob("prefixes/*.tar"), *staged.glob("wheels/*.whl")]
    for archive in sorted(archives):
        members = _of_wheel(archive) if archive.suffix == ".whl" else _of_tar(archive)
        try:
            needs = [(found, name) for name, file in members if (found := needed_glibc(file))]
        except _DAMAGED as error:
            raise GateError(f"{archive.name} cannot be read: {error}", where=str(archive)) from None
        top = max((found for found, _ in needs), default=highest)
        if top > highest:
            first = min(name for found, name in needs if found == top)
            highest, named = top, f"{archive.relative_to(staged).as_posix()}: {first}"
    return Glibc(".".join(map(str, highest)) if named else "", named)


def _of_tar(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            if file is not None:
                yield member.name, file


def _of_wheel(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the ELF files of a wheel, each unpacked to disk: some have several GB."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as packed, tempfile.TemporaryFile() as file:
                magic = packed.read(4)
                if magic == b"\x7fELF":
                    file.write(magic)
                    shutil.copyfileobj(packed, file)
                    file.seek(0)
                    yield member.filename, file
