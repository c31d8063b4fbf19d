"""Makes wheels and prefixes find each other wherever they are installed: $ORIGIN-relative RPATHs.

Installed layout, below one PREFIX: env/ is the Python environment, and beside it lies each prefix
or toolchain under its component's name.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from strixforge.model.errors import GateError
from strixforge.release.elf import read_linkage, set_rpath

SITE = PurePosixPath(f"env/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
"""Where wheels are installed, relative to PREFIX."""


def libraries(tree: Path, component: str) -> dict[str, PurePosixPath]:
    """Return the shared libraries of a prefix: soname to its folder, relative to PREFIX."""
    found: dict[str, PurePosixPath] = {}
    for path in _regular_files(tree):
        linkage = read_linkage(path)
        if linkage is not None and linkage.soname:
            folder = PurePosixPath(component) / path.relative_to(tree).parent.as_posix()
            found.setdefault(linkage.soname, folder)
    return found


def relink_tree(tree: Path, base: PurePosixPath, known: dict[str, PurePosixPath]) -> list[str]:
    """Set the RPATHs of all libraries in `tree`, which is installed at PREFIX/`base`.

    `known` maps sonames to folders relative to PREFIX. Entries that name a folder of the build
    are dropped, entries relative to $ORIGIN are kept. Returns the files that changed.
    """
    changed = []
    for path in _regular_files(tree):
        linkage = read_linkage(path)
        if linkage is None:
            continue
        here = _installed(path.relative_to(tree), base).parent
        wanted = [entry for entry in linkage.rpath if entry.startswith("$ORIGIN")]
        for soname in linkage.needed:
            if soname in known and known[soname] != here:
                relative = os.path.relpath(known[soname], here)
                entry = f"$ORIGIN/{relative}"
                if entry not in wanted:
                    wanted.append(entry)
        if tuple(wanted) != linkage.rpath:
            mode = path.stat().st_mode
            path.chmod(0o755)
            set_rpath(path, tuple(wanted))
            path.chmod(mode)
            changed.append(path.relative_to(tree).as_posix())
    return changed


def relink_wheel(
    wheel: Path, target: Path, work: Path, known: dict[str, PurePosixPath], epoch: int
) -> Path:
    """Write `wheel` to the folder `target`, repacked when a library in it needed another RPATH.

    Returns the path of the written wheel. `work` is an empty folder, `epoch` dates the members.
    """
    _wheel_tool(["unpack", "--dest", str(work), str(wheel)], epoch)
    (tree,) = work.iterdir()
    if not relink_tree(tree, SITE, known):
        place = target / wheel.name
        place.write_bytes(wheel.read_bytes())
        return place
    packed = work / "packed"
    packed.mkdir()
    _wheel_tool(["pack", "--dest-dir", str(packed), str(tree)], epoch)
    (made,) = packed.iterdir()
    return made.rename(target / made.name)


def _wheel_tool(arguments: list[str], epoch: int) -> None:
    """Run pypa/wheel, which checks RECORD on unpacking and writes it on packing."""
    done = subprocess.run(
        [sys.executable, "-m", "wheel", *arguments],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        umask=0o022,
    )
    if done.returncode:
        message = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise GateError(
            f"the wheel {Path(arguments[-1]).name} cannot be read or written: {message[-1]}",
            where=arguments[-1],
        )


def _installed(path: Path, base: PurePosixPath) -> PurePosixPath:
    """Return where a file of a wheel or prefix lies below PREFIX."""
    parts = path.parts
    if parts[0].endswith(".data") and len(parts) > 2 and parts[1] in ("platlib", "purelib"):
        return base.joinpath(*parts[2:])
    return base.joinpath(*parts)


def _regular_files(tree: Path) -> Iterator[Path]:
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path
