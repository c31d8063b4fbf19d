"""Makes wheels and prefixes find each other wherever they are installed: $ORIGIN-relative RPATHs.

Installed layout, below one PREFIX: env/ is the Python environment, and beside it lies each prefix
or toolchain under its component's name.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from strixforge.attest.bill import NAME
from strixforge.gates.installed import SITE, installed
from strixforge.model.errors import GateError
from strixforge.release.elf import read_linkage, set_rpath

_ORIGIN = re.compile(r"\$(ORIGIN|\{ORIGIN\})(/|$)")


def libraries(tree: Path, base: PurePosixPath) -> dict[str, PurePosixPath]:
    """Return the shared libraries of a tree that is installed at PREFIX/`base`.

    Maps file names, links included, to folders relative to PREFIX: the loader looks for a file of
    the needed name. A library in lib/ is preferred to one elsewhere, which may be a private copy.
    """
    root = tree.resolve()
    found: dict[str, PurePosixPath] = {}
    paths = sorted(
        (path.relative_to(tree) for path in tree.rglob("*.so*")),
        key=lambda path: (path.parent.as_posix() != "lib", path.as_posix()),
    )
    for name in paths:
        path = tree / name
        inside = path.is_file() and path.resolve().is_relative_to(root)
        if inside and read_linkage(path) is not None:
            found.setdefault(name.name, installed(name, base).parent)
    return found


def relink_tree(tree: Path, base: PurePosixPath, known: Mapping[str, PurePosixPath]) -> list[str]:
    """Set the RPATHs of all libraries in `tree`, which is installed at PREFIX/`base`.

    `known` maps library names to folders relative to PREFIX; the tree's own ones come first.
    Entries that name a folder of the build are dropped, entries relative to $ORIGIN are kept.
    Returns the files that changed.
    """
    known = {**known, **libraries(tree, base)}
    changed = []
    for path in _regular_files(tree):
        linkage = read_linkage(path)
        if linkage is None:
            continue
        here = installed(path.relative_to(tree), base).parent
        wanted = [entry for entry in linkage.rpath if _ORIGIN.match(entry)]
        for name in linkage.needed:
            if name in known:  # a neighbour too: it may have been found in a folder of the system
                entry = f"$ORIGIN/{os.path.relpath(known[name], here)}".removesuffix("/.")
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
    wheel: Path,
    target: Path,
    work: Path,
    known: Mapping[str, PurePosixPath],
    epoch: int,
    *,
    bill: str = "",
) -> Path:
    """Write `wheel` to the folder `target`, with its bill of materials, if it gets one (PEP 770).

    It is repacked for that, or when a library in it needs another RPATH. Returns the path of the
    written wheel. `work` is an empty folder, `epoch` dates the members.
    """
    _wheel_tool(["unpack", "--dest", str(work), str(wheel)], epoch)
    (tree,) = work.iterdir()
    changed = bool(relink_tree(tree, SITE, known))
    if bill:
        (info,) = tree.glob("*.dist-info")
        (info / "sboms").mkdir(exist_ok=True)
        (info / "sboms" / NAME).write_text(bill, encoding="utf-8")
        (info / "sboms" / NAME).chmod(0o644)  # whatever the umask: a wheel keeps modes
    if not changed and not bill:
        shutil.copyfile(wheel, target / wheel.name)
        return target / wheel.name
    packed = work / "packed"
    packed.mkdir()
    _wheel_tool(["pack", "--dest-dir", str(packed), str(tree)], epoch)
    (made,) = packed.iterdir()
    return made.rename(target / made.name)


def _wheel_tool(arguments: list[str], epoch: int) -> None:
    """Run pypa/wheel, which checks RECORD on unpacking and writes it on packing."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", "wheel", *arguments],
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


def _regular_files(tree: Path) -> Iterator[Path]:
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path
