"""The code objects that a device check left: one for each source, with its kernels."""

from dataclasses import dataclass
from pathlib import Path

from strixforge.audit.codeobjects import CodeObject, Unreadable, scan
from strixforge.audit.kernels import Kernel
from strixforge.model.errors import GateError


@dataclass(frozen=True, slots=True)
class Unit:
    """One source, compiled."""

    source: str
    """The CMake target, then the source's path."""
    seconds: float
    target: str
    kernels: tuple[Kernel, ...]


def _leads_out(place: str, folder: Path) -> bool:
    """Say whether a path of the list is no regular file of the output."""
    path = folder / place
    inside = path.resolve().is_relative_to(folder.resolve())
    return path.is_symlink() or not inside or not path.is_file()


def read_units(folder: Path) -> list[Unit]:
    """Return every source of a device check, by name. Raises GateError for what cannot be read."""
    units = []
    try:
        lines = (folder / "seconds.tsv").read_text(encoding="utf-8").splitlines()
        listed = [(float(one.split("\t")[0]), one.split("\t")[1]) for one in lines]
    except (OSError, ValueError, IndexError) as error:
        raise GateError(
            f"the device check left no list of its code objects: {error}.",
            where=str(folder / "seconds.tsv"),
            fix="Its steps must write a line for each: seconds, a tab, the path.",
        ) from None
    if not listed or any(_leads_out(place, folder) for _, place in listed):
        raise GateError(
            "the device check lists no code object, or one that is not its own.",
            where=str(folder / "seconds.tsv"),
        )
    for seconds, place in listed:
        found = list(scan(folder / place))
        if len(found) != 1 or not isinstance(found[0], CodeObject):
            why = next((one.reason for one in found if isinstance(one, Unreadable)), "")
            raise GateError(
                f"{place} is not one code object: {why or f'it has {len(found)}'}.",
                where=str(folder),
            )
        units.append(Unit(place.removesuffix(".co"), seconds, found[0].target, found[0].kernels))
    return sorted(units, key=lambda unit: unit.source)
