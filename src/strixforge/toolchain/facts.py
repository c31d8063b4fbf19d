"""Where the parts of a ROCm lie, so that no recipe knows a layout.

TheRock has LLVM and the device bitcode below lib/llvm (build_tools/build_prod_wheels.py, and issue
ROCm/ROCm 5773); ROCm up to 7.2 has the bitcode in amdgcn/; Debian has one LLVM a version, with the
bitcode among clang's own files, and Fedora the same in lib64/rocm/llvm.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from strixforge.toolchain import identity

_LLVM = ("lib/llvm", "llvm", "lib/llvm-*", "lib64/rocm/llvm")
# Below an LLVM, then below the prefix.
_BITCODE_OF_LLVM = (
    "amdgcn/bitcode",
    "lib/clang/*/lib/amdgcn/bitcode",
    "lib/clang/*/amdgcn/bitcode",
)
_BITCODE = ("amdgcn/bitcode", "lib/amdgcn/bitcode")
_CMAKE = ("lib/cmake", "lib/x86_64-linux-gnu/cmake", "lib64/cmake")
_LIBRARIES = ("lib", "lib64", "lib/x86_64-linux-gnu")
_TARGET = re.compile(r"oclc_isa_version_([0-9a-z-]+)\.bc")
_LLVM_VERSION = re.compile(r'(?:LLVM_VERSION_STRING|PACKAGE_VERSION)\s+"([0-9][0-9.]*)')


@dataclass(frozen=True, slots=True)
class Facts:
    """What recipes can name of a toolchain; a part that is not there is empty."""

    prefix: str
    """Where builds see it: /opt/rocm, or /usr in a root that has it among its packages."""
    release: str
    """ROCm release that it claims: 6.4.4, 10.1.0a20260901."""
    hip_version: str
    """HIP's own version."""
    clang_version: str
    """Version of its clang; the major number alone where no file tells more."""
    llvm: str
    """Prefix of its LLVM."""
    clang: str
    """Its clang++."""
    bitcode: str
    """Folder of the device libraries."""
    libraries: str
    """Folder of HIP's runtime library."""
    cmake: str
    """Folder of its CMake packages."""
    targets: tuple[str, ...]
    """GPU targets that the device libraries know."""

    def texts(self) -> dict[str, str]:
        """Return the facts that are known, by the name that recipes use."""
        named = {name: getattr(self, name) for name in self.__slots__ if name != "targets"}
        return {name: text for name, text in named.items() if text}


def find_facts(folder: Path, prefix: str) -> Facts:
    """Return the facts of the ROCm that lies in `folder`, and is shown to builds as `prefix`."""
    llvm = _newest(folder, [one for one in _LLVM if one != "llvm" or not _is(folder, "lib/llvm")])
    bitcode = _bitcode(folder, llvm)
    if bitcode is not None and llvm is not None and not bitcode.is_relative_to(llvm):
        owners = [one for one in _found(folder, _LLVM) if bitcode.is_relative_to(one)]
        llvm = owners[0] if owners else llvm

    def inside(path: Path | None) -> str:
        return "" if path is None else str(PurePosixPath(prefix) / path.relative_to(folder))

    clang = llvm / "bin" / "clang++" if llvm and (llvm / "bin" / "clang++").exists() else None
    hip = [one.version for one in identity.versions(folder) if one.product == "hip"]
    return Facts(
        prefix=prefix,
        release=identity.release(folder),
        hip_version=next(iter(hip), ""),
        clang_version=_clang_version(llvm) if llvm else "",
        llvm=inside(llvm),
        clang=inside(clang),
        bitcode=inside(bitcode),
        libraries=inside(_libraries(folder)),
        cmake=inside(_cmake(folder)),
        targets=_targets(bitcode) if bitcode else (),
    )


def _found(folder: Path, patterns: tuple[str, ...] | list[str]) -> list[Path]:
    """Return the folders that match, by the order of patterns, of one pattern the newest first."""
    return [
        path
        for pattern in patterns
        for path in sorted(folder.glob(pattern), key=_by_number, reverse=True)
        if path.is_dir()
    ]


def _newest(folder: Path, patterns: tuple[str, ...] | list[str]) -> Path | None:
    return next(iter(_found(folder, patterns)), None)


def _by_number(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", path.name)]


def _is(folder: Path, name: str) -> bool:
    return (folder / name).is_dir()


def _bitcode(folder: Path, llvm: Path | None) -> Path | None:
    """Return the folder of the device libraries, that of the toolchain's own LLVM first."""
    llvms = [one for one in (llvm, *_found(folder, _LLVM)) if one is not None]
    places = [place for one in llvms for place in _found(one, _BITCODE_OF_LLVM)]
    places += _found(folder, _BITCODE)
    return next((place for place in places if (place / "ocml.bc").is_file()), None)


def _libraries(folder: Path) -> Path | None:
    places = (folder / name for name in _LIBRARIES)
    return next((one for one in places if any(one.glob("libamdhip64.so*"))), None)


def _cmake(folder: Path) -> Path | None:
    """Return the folder of CMake packages, the one with HIP's among them first."""
    places = _found(folder, _CMAKE)
    return next((one for one in places if (one / "hip").is_dir()), next(iter(places), None))


def _clang_version(llvm: Path) -> str:
    """Return the version that LLVM's files tell, else that of clang's resource folder."""
    for name in (
        "include/llvm/Config/llvm-config.h",
        "lib/cmake/llvm/LLVMConfigVersion.cmake",
        "lib/cmake/clang/ClangConfigVersion.cmake",
    ):
        try:
            text = (llvm / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if match := _LLVM_VERSION.search(text):
            return match[1]
    resources = [path.name for path in _found(llvm, ["lib/clang/*"]) if path.name[:1].isdigit()]
    return next(iter(resources), "")


def _targets(bitcode: Path) -> tuple[str, ...]:
    names = (_TARGET.fullmatch(path.name) for path in bitcode.iterdir())
    return tuple(sorted(f"gfx{match[1]}" for match in names if match))
