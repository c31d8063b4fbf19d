"""`kernel-folders`: libraries that open their kernels by name find some for the GPU beside them.

hipBLASLt and AOTriton look for a folder beside their own library when they run. One without the
GPU's kernels loads, and fails or falls back at the first call.
"""

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from strixforge.audit.codeobjects import CodeObject, scan
from strixforge.audit.targets import covers
from strixforge.gates.finding import Checked, Finding
from strixforge.gates.staged import Archive, Staged

GATE = "kernel-folders"
_FIX = "Build it with the stack's target among its own: CMake's options stand in its recipe."


@dataclass(frozen=True, slots=True)
class _Kind:
    """A library, and the folder that it opens, relative to the library's own."""

    library: str
    folder: str


# ROCm/hipBLASLt, library/src/amd_detail/rocblaslt/src/tensile_host.cpp: hipblaslt/library beside
# the shared library. ROCm/aotriton, locate_aotriton_images: aotriton.images beside it.
_KINDS = (
    _Kind("libhipblaslt.so*", "hipblaslt/library"),
    _Kind("libaotriton_v2.so*", "aotriton.images"),
)


@dataclass(frozen=True, slots=True)
class _Found:
    """One such library, and the kernels in its folder."""

    archive: Archive
    folder: str
    files: int
    kernels: int
    """For the stack's GPU."""


def check(staged: Staged) -> Checked:
    """Count the kernels for the stack's GPU in each folder."""
    findings: list[Finding] = []
    counts = {"folders": 0, "files": 0, "kernels": 0}
    for kind in _KINDS:
        found = [one for archive in staged.readable for one in _find(archive, kind, staged.arch)]
        counts["folders"] += len(found)
        counts["files"] += sum(one.files for one in found)
        counts["kernels"] += sum(one.kernels for one in found)
        findings += _findings(found, staged.arch)
    return Checked(counts, tuple(findings))


def _findings(found: list[_Found], arch: str) -> Iterator[Finding]:
    """Yield what was built without kernels, and releases where no other one has them."""
    elsewhere = any(one.kernels for one in found)
    for one in found:
        if not one.kernels and not (one.archive.as_it_came and elsewhere):
            what = f"has no kernel for {arch} in {one.files} files"
            yield Finding(GATE, f"{one.archive.path}: {one.folder}", what, _FIX)


def _find(archive: Archive, kind: _Kind, arch: str) -> Iterator[_Found]:
    """Yield the folder of each library of this kind, also one that is not there."""
    libraries = {
        PurePosixPath(member.name).parent
        for member in archive.members
        if fnmatchcase(PurePosixPath(member.name).name, kind.library) and member.dynamic is not None
    }
    for beside in sorted(libraries):
        folder = beside / kind.folder
        names = [
            member.name
            for member in archive.members
            if not (member.link or member.problem)
            and PurePosixPath(member.name).is_relative_to(folder)
        ]
        kernels = sum(
            len(one.kernels)
            for name, file in _files(archive, names)
            for one in _scanned(name, file, archive.file.parent)
            if isinstance(one, CodeObject) and covers(one.target, arch)
        )
        yield _Found(archive, folder.as_posix(), len(names), kernels)


def _files(archive: Archive, names: Iterable[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield those members of an archive that the other gates could read."""
    wanted = set(names)
    if archive.is_wheel:
        with zipfile.ZipFile(archive.file) as zipped:
            for entry in zipped.infolist():
                if entry.orig_filename in wanted:
                    with zipped.open(entry) as file:
                        yield entry.orig_filename, file
        return
    with tarfile.open(archive.file, "r:") as tar:
        for info in tar:
            inner = tar.extractfile(info) if info.isreg() and info.name in wanted else None
            if inner is not None:
                with inner:
                    yield info.name, inner


def _scanned(name: str, file: IO[bytes], beside: Path) -> Iterator[object]:
    # The suffix says what it should be; the rest of a hostile name is of no use to a file system.
    suffix = PurePosixPath(name).suffix
    with tempfile.NamedTemporaryFile(dir=beside, suffix=suffix[:16]) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        copy.flush()
        yield from scan(Path(copy.name))
