"""What this machine can give to a build: memory and disk, within the limits set on this process."""

import contextlib
import shutil
from pathlib import Path

import psutil


def memory(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return all memory that this process may use, bytes: the machine's, or a cgroup's if less."""
    total = int(psutil.virtual_memory().total)
    return min([total, *_limits(cgroup, root)])


def _limits(cgroup: Path, root: Path) -> list[int]:
    """Return memory.max of every cgroup above this process (cgroup v2)."""
    try:
        own = next(
            line.removeprefix("0::").lstrip("/")
            for line in cgroup.read_text(encoding="ascii").splitlines()
            if line.startswith("0::")
        )
    except (OSError, StopIteration, UnicodeDecodeError):
        return []
    found = []
    place = root / own
    for folder in (place, *place.parents):
        with contextlib.suppress(OSError, ValueError):  # "max", or the root, which has no limit
            found.append(int((folder / "memory.max").read_text(encoding="ascii")))
        if folder == root:
            break
    return found


def disk(folder: Path) -> int:
    """Return the free space of the file system that a folder is, or will be, on; bytes."""
    place = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(place).free
