"""ROCm installations that are two in one: found by evidence, and refused.

An update that left old libraries, or a distribution's HIP beside AMD's, builds with the headers of
one and links with the libraries of the other (ROCm/TheRock issue 950).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from strixforge.toolchain import identity

_SONAME = re.compile(
    r"(?P<name>lib(?:amdhip64|hiprtc|hipblas|rocblas|hipblaslt))\.so\.(?P<major>\d+)"
)
# Where distributions put HIP, whatever else is installed.
_SYSTEM = (
    *("usr/include/hip/hip_version.h", "usr/lib/x86_64-linux-gnu/libamdhip64.so.*"),
    *("usr/lib64/libamdhip64.so.*", "usr/lib/libamdhip64.so.*"),
)


def mixed(folder: Path, host: Path = Path("/")) -> list[str]:
    """Return one sentence for each sign that the ROCm in `folder` is not of one piece."""
    return [*_versions(folder), *_libraries(folder), *_beside(folder, host)]


def _versions(folder: Path) -> Iterator[str]:
    """Compare what files say of the release; HIP counts by its own numbers."""
    found: dict[str, str] = {}
    for one in identity.versions(folder):
        if one.product == "hip":
            continue
        numbers = re.match(r"\D*(\d+)\.(\d+)", one.version)
        if numbers is not None:
            found.setdefault(f"{numbers[1]}.{numbers[2]}", f"{one.version} in {one.place}")
    if len(found) > 1:
        yield f"two releases show themselves: {'; '.join(found.values())}"


def _libraries(folder: Path) -> Iterator[str]:
    majors: dict[str, dict[str, Path]] = {}
    for path in sorted((folder / "lib").glob("lib*.so.*")):
        match = _SONAME.match(path.name)
        if match and (path.is_symlink() or path.is_file()):
            majors.setdefault(match["name"], {}).setdefault(match["major"], path)
    for name, by_major in majors.items():
        if len(by_major) > 1:
            yield f"two versions of {name}: {', '.join(map(str, by_major.values()))}"
    header = [one for one in identity.versions(folder) if one.product == "hip"]
    libraries = majors.get("libamdhip64", {})
    for one in header:
        major = one.version.split(".")[0]
        if libraries and major not in libraries:
            yield (
                f"the headers are of HIP {one.version} ({one.place}), the library is "
                f"{', '.join(path.name for path in libraries.values())}"
            )


def _beside(folder: Path, host: Path) -> Iterator[str]:
    if folder.resolve() == (host / "usr").resolve():
        return
    for pattern in _SYSTEM:
        for path in sorted(host.glob(pattern)):
            yield f"the distribution's HIP is installed beside it: {path}"
            return
