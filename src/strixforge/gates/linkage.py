"""`linkage`: what every library and program needs is found where it is installed."""

import posixpath
from collections.abc import Iterator
from fnmatch import fnmatchcase

from strixforge.gates.finding import Checked, Finding
from strixforge.gates.loading import Loader
from strixforge.gates.staged import Staged
from strixforge.gates.system import system
from strixforge.plan import layout

GATE = "linkage"
_RELINK = "Its build must link it by name, to a library of a component among its needs."
_PATHS = "Remove the entry in the recipe's steps: patchelf --set-rpath, or CMake's install RPATH."
_TWICE = "One process that loads both crashes: build all with one ROCm, and ship it once."
_DAMAGED = "Build it again, or pin another file: the loader cannot read it either."
# Two of them in one process each hold the GPU.
_RUNTIMES = ("libamdhip64.so*", "libhsa-runtime64.so*")
_OF_THE_BUILD = ("/strixforge/", f"{layout.ROCM}/")


def check(staged: Staged) -> Checked:
    """Load every file on paper, as it will be installed."""
    loader = Loader(staged)
    roots = list(loader.roots())
    told = [*_damaged(staged), *_missing(loader), *_paths(loader), *_runtimes(loader)]
    findings, left = system().without_exceptions(staged.archives, told)
    needed = sum(len(one.member.dynamic.needed) for one in roots if one.member.dynamic)
    counts = {"files": len(roots), "needed": needed, "exceptions": left}
    return Checked(counts, tuple(findings))


def _damaged(staged: Staged) -> Iterator[Finding]:
    for archive in staged.readable:
        for member in archive.members:
            if member.problem and member.sha256 and not archive.is_toolchain:
                yield Finding(GATE, f"{archive.path}: {member.name}", member.problem, _DAMAGED)


def _missing(loader: Loader) -> Iterator[Finding]:
    """Yield what cannot be loaded: of the files themselves, and of a toolchain what they load."""
    told = set()
    for root in loader.roots():
        for user, soname in loader.load(root).missing:
            mine = user == root or user.archive.is_toolchain
            if mine and (user.place, soname) not in told:
                told.add((user.place, soname))
                yield Finding(GATE, user.where, f"needs {soname}, which nothing has", _RELINK)


def _paths(loader: Loader) -> Iterator[Finding]:
    for root in loader.roots():
        if root.member.dynamic is None:
            continue
        for entry in root.member.dynamic.rpath:
            if not entry.startswith(("$ORIGIN", "${ORIGIN}")):
                what = f"looks in {entry}, which is not relative to the file"
                yield Finding(GATE, root.where, what, _PATHS)
            elif any(folder in f"{entry}/" for folder in _OF_THE_BUILD):
                yield Finding(GATE, root.where, f"looks in {entry}, a path of the build", _PATHS)
        for soname in root.member.dynamic.needed:
            if "/" in soname:
                yield Finding(GATE, root.where, f"needs {soname}, a path and no name", _RELINK)


def _runtimes(loader: Loader) -> Iterator[Finding]:
    """Yield a second runtime of HIP: another file than the first of that name."""
    for pattern in _RUNTIMES:
        found = [
            one
            for place, one in sorted(loader.layout.files.items())
            if one.member.dynamic and fnmatchcase(posixpath.basename(place), pattern)
        ]
        for other in found[1:]:
            known = other.member.sha256 and other.member.sha256 == found[0].member.sha256
            if not known:
                what = f"is a second {pattern.removesuffix('*')} beside {found[0].where}"
                yield Finding(GATE, other.where, what, _TWICE)
