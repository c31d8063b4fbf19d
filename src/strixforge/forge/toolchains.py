"""The toolchain of a stack, as it lies on this machine and as builds see it."""

from dataclasses import dataclass
from pathlib import Path

from strixforge.model.pins import Pin, SystemPin
from strixforge.plan import layout
from strixforge.sources.system import place, shown_as
from strixforge.toolchain.facts import Facts, find_facts


@dataclass(frozen=True, slots=True)
class Toolchain:
    """One ROCm."""

    folder: Path
    """Where it lies on this machine."""
    mount: str | None
    """Where a sandbox shows it; None for one that is part of the root."""
    facts: Facts


def open_toolchain(pin: Pin, output: Path, root: Path) -> Toolchain:
    """Return the toolchain whose stored output is the folder `output`.

    `root` is the file system that builds see; a system's toolchain lies there. Raises HostError
    when it does not.
    """
    if not isinstance(pin, SystemPin):
        return Toolchain(output, layout.ROCM, find_facts(output, layout.ROCM))
    folder = place(pin, root)
    prefix = shown_as(folder, root)
    # What lies in /usr, or in a root of packages, is shown with the root.
    mount = None if root != Path("/") or prefix != layout.ROCM else layout.ROCM
    return Toolchain(folder, mount, find_facts(folder, prefix))
