"""What an audit read, file by file: code objects of some targets, and what is unreadable."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from strixforge.audit import images
from strixforge.audit.codeobjects import CodeObject, NoDeviceCode, Unreadable, survey
from strixforge.audit.images import Seen, printable


@dataclass(slots=True)
class File:
    """One file with device code, or one that could not be read."""

    below: str
    """Its name below the path that was looked at: the same wherever that lies."""
    objects: list[CodeObject] = field(default_factory=list)
    """All of them; those of targets that nobody asked for are without their kernels."""
    unreadable: list[Unreadable] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Files:
    """Everything below some paths, by whole name."""

    files: dict[str, File]
    others: dict[str, int]
    """Files without device code, by what they are."""


def collect(paths: Iterable[Path], archs: Collection[str]) -> Files:
    """Look into files, folders and archives, and read the kernels of the targets `archs`."""
    files: dict[str, File] = {}
    others: Counter[str] = Counter()
    for path in paths:
        top = printable(str(path))
        strip = len(top) + 1 if path.is_dir() else len(top) - len(printable(path.name))
        for one in survey(path, tuple(archs)):
            if isinstance(one, NoDeviceCode):
                others[one.kind] += 1
                continue
            name = _file_of(one, top)
            file = files.setdefault(name, File(name[strip:]))
            if isinstance(one, Unreadable):
                file.unreadable.append(one)
            else:
                file.objects.append(one)
    return Files(files, dict(sorted(others.items())))


def without_kpack(found: Files) -> tuple[Files, int]:
    """Return the same without what is unreadable because it is a kpack archive, and how many."""
    files: dict[str, File] = {}
    count = 0
    for name, file in found.files.items():
        other = [one for one in file.unreadable if one.reason != images.KPACK]
        count += len(file.unreadable) - len(other)
        if file.objects or other:
            files[name] = File(file.below, file.objects, other)
    return Files(files, found.others), count


def _file_of(one: Seen, path: str) -> str:
    """Return the file that something was found in: sections and bundle entries are left off."""
    parts = one.where[len(path) :].split("!")
    packs = [i for i, part in enumerate([path, *parts[1:]]) if part.lower().endswith(".aks2")]
    parts = parts[: packs[0] + 1] if packs else parts
    while len(parts) > 1 and (parts[-1].isdigit() or _is_inner(parts[-1])):
        parts.pop()
    return path + "!".join(parts)


def _is_inner(part: str) -> bool:
    return part.startswith((*images.SECTIONS, "hip-", "hipv4-", "openmp-", "host-"))
