"""The code objects that a device check left: one for each source, with its kernels."""

from dataclasses import dataclass
from pathlib import Path

from strixforge.audit.bounds import MalformedError
from strixforge.audit.kernels import Kernel, read_kernels
from strixforge.model.errors import GateError


@dataclass(frozen=True, slots=True)
class Unit:
    """One source, compiled."""

    source: str
    """The CMake target, then the source's path."""
    seconds: float
    target: str
    kernels: tuple[Kernel, ...]


def read_units(folder: Path) -> list[Unit]:
    """Return every source of a device check, by name. Raises GateError for what cannot be read."""
    units = []
    for line in sorted((folder / "seconds.tsv").read_text(encoding="utf-8").splitlines()):
        seconds, _, place = line.partition("\t")
        try:
            target, kernels = read_kernels(memoryview((folder / place).read_bytes()))
        except (MalformedError, OSError) as error:
            raise GateError(f"{place} is no code object: {error}.", where=str(folder)) from None
        units.append(Unit(place.removesuffix(".co"), float(seconds), target, kernels))
    return sorted(units, key=lambda unit: unit.source)
