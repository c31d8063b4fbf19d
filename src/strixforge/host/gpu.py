"""The AMD GPUs of this machine, as the kernel shows them.

KFD's nodes are in sysfs, one `name value` a line; gfx_target_version is 110501 for gfx1151. Kernels
that tell user space the size of the context save area have a property cwsr_size (patch "drm/amdkfd:
Export the cwsr_size and ctl_stack_size to userspace", 2025-12-05, in Linux 6.18.4).
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU."""

    target: str
    """LLVM's name of it, such as gfx1151."""
    properties: dict[str, int]
    """What KFD tells of its node."""


@dataclass(frozen=True, slots=True)
class Gpus:
    """All GPUs, and the firmware that schedules their work."""

    gpus: tuple[Gpu, ...]
    mes_firmware: frozenset[int]
    """Versions of the MES firmware that are loaded; one for each card that tells."""

    def of(self, target: str) -> Gpu | None:
        """Return the first GPU of that target."""
        return next((gpu for gpu in self.gpus if gpu.target == target), None)


@dataclass(frozen=True, slots=True)
class Host:
    """What of this machine decides whether something runs on it."""

    gpus: Gpus
    kernel: str
    """Release of the running kernel, such as 6.17.0-22-generic."""


def find_host() -> Host:
    """Return this machine."""
    return Host(find_gpus(), os.uname().release)


def find_gpus(sysfs: Path = Path("/sys")) -> Gpus:
    """Return the GPUs; none where there is no KFD, as in most containers and virtual machines."""
    gpus = []
    for file in sorted(sysfs.glob("class/kfd/kfd/topology/nodes/*/properties")):
        properties = _properties(file)
        if target := _target(properties.get("gfx_target_version", 0)):
            gpus.append(Gpu(target, properties))
    files = sysfs.glob("class/drm/card*/device/fw_version/mes_fw_version")
    versions = (_number(_text(file).strip()) for file in files)
    return Gpus(tuple(gpus), frozenset(one for one in versions if one is not None))


def _properties(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(file).splitlines())
    numbers = {pair[0]: _number(pair[1]) for pair in pairs if len(pair) == 2}
    return {name: number for name, number in numbers.items() if number is not None}


def _target(version: int) -> str:
    """Return the name of a target; a CPU's node has the version 0."""
    if version <= 0:
        return ""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
