"""`ours`: what the stack builds is the built one, and nothing is for CUDA."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from strixforge.gates.finding import Checked, Finding
from strixforge.gates.staged import Archive, Staged

GATE = "ours"
# NVIDIA's own distributions, and CuPy, which comes for one CUDA each.
_DISTRIBUTIONS = ("nvidia-*", "cuda-*", "cupy*")
# The driver's library and those of the toolkit that PyTorch and Triton link when built for CUDA.
_LIBRARIES = ("libcuda.so*", "libcudart.so*", "libcublas*.so*", "libcudnn*.so*")
_TAKE_OUT = "Take it out of `runtime` of the recipes, then: ./doit lock"


def check(staged: Staged) -> Checked:
    """Check where wheels come from, and what they are for."""
    wheels = list(_named(staged))
    findings = [*_not_built(staged, wheels), *_cuda(staged, wheels)]
    built = sum(bool(one.distribution) for one in staged.shipped.values())
    linked = sum(one.dynamic is not None for each in staged.readable for one in each.members)
    counts = {"wheels": len(wheels), "built": built, "libraries": linked}
    return Checked(counts, tuple(findings))


def _named(staged: Staged) -> Iterator[tuple[str, Archive]]:
    for archive in staged.archives:
        if archive.is_wheel:
            try:
                yield parse_wheel_filename(archive.file.name)[0], archive
            except InvalidWheelFilename:
                continue  # the gate `tags` tells it


def _not_built(staged: Staged, wheels: list[tuple[str, Archive]]) -> Iterator[Finding]:
    for component, shipped in staged.shipped.items():
        if not shipped.distribution:
            continue
        wanted = canonicalize_name(shipped.distribution)
        mine = [one for name, one in wheels if name == wanted]
        for archive in mine:
            if archive.component != component:
                origin = archive.component or "the package index"
                what = f"is {wanted} of {origin}; {component} builds it"
                yield Finding(GATE, archive.path, what, _TAKE_OUT)
        if not any(one.component == component for one in mine):
            what = f"the wheel of {wanted}, which {component} builds, is not there"
            yield Finding(GATE, "wheels/", what, f"./doit build_{component}")


def _cuda(staged: Staged, wheels: list[tuple[str, Archive]]) -> Iterator[Finding]:
    for name, archive in wheels:
        if any(fnmatchcase(name, pattern) for pattern in _DISTRIBUTIONS):
            yield Finding(GATE, archive.path, "is for CUDA", _TAKE_OUT)
    for archive in staged.readable:
        if archive.as_it_came:
            continue
        for member in archive.members:
            for soname in member.dynamic.needed if member.dynamic else ():
                if any(fnmatchcase(soname, pattern) for pattern in _LIBRARIES):
                    where = f"{archive.path}: {member.name}"
                    fix = "Build it without CUDA, or do without it."
                    yield Finding(GATE, where, f"needs {soname}, of CUDA", fix)
