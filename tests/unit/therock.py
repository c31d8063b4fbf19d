"""Stand-ins for ROCm as TheRock, AMD's packages and Debian lay it out: small files, real names.

Layouts, names and numbers as they were seen in distributions: TheRock's tarballs have no folder at
their top, keep LLVM and the device bitcode in lib/llvm, and number HIP apart from ROCm.
"""

import io
import json
import re
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias


class Link(str):
    """The target of a symlink."""

    __slots__ = ()


class Program(str):
    """The text of a file that can be executed."""

    __slots__ = ()


Tree: TypeAlias = dict[str, str]
"""Paths to the text of a file, a Link or a Program."""

MANIFEST = "share/therock/therock_manifest.json"
COMMIT = "0c509634" * 5


def header(product: str, version: str) -> str:
    """Return a version header of ROCM or HIP, with the lines that surround the numbers."""
    numbers = version.split(".")
    lines = [f"#ifndef {product}_VERSION_H", f"#define {product}_VERSION_H"]
    names = ("MAJOR", "MINOR", "PATCH")
    lines += [f"#define {product}_VERSION_{n} {v}" for n, v in zip(names, numbers, strict=True)]
    return "\n".join([*lines, "#endif", ""])


def packed(release: str) -> str:
    """Return a release as AMD's libraries carry it: 6.4.4 is 60404."""
    major, minor, patch = release.split(".")
    return f"{major}{minor:0>2}{patch:0>2}"


def bitcode(*targets: str) -> Tree:
    """Return the device libraries of those targets, such as gfx1151."""
    names = ["ocml.bc", "ockl.bc", *(f"oclc_isa_version_{one[3:]}.bc" for one in targets)]
    return {name: f"BC {name}\n" for name in names}


def below(folder: str, tree: Mapping[str, str]) -> Tree:
    """Return a tree with each path below a folder."""
    return {f"{folder}/{name}": text for name, text in tree.items()}


def therock(
    base: str = "10.1.0",
    package: str = "10.1.0a20260813",
    *,
    hip: str = "7.16.26342",
    targets: tuple[str, ...] = ("gfx1150", "gfx1151", "gfx1200"),
) -> Tree:
    """Return a distribution of TheRock; without `package`, its manifest names no version."""
    major = hip.split(".", maxsplit=1)[0]
    manifest: dict[str, object] = {"the_rock_commit": COMMIT, "submodules": [], "flags": {}}
    if package:
        manifest |= {"rocm_package_version": package, "rocm_version": base}
    return {
        ".info/version": f"{base}\n",
        ".kpack/blas_lib_gfx1151.kpack": "KPAK\n",
        "bin/hipcc": Program("#!/bin/sh\nexec clang++\n"),
        "bin/amdclang++": Link("../lib/llvm/bin/clang++"),
        "clients/rocblas-test": Program("#!/bin/sh\n"),
        "include/hip/hip_version.h": header("HIP", hip),
        "include/rocm-core/rocm_version.h": header("ROCM", base),
        "lib/cmake/hip/hip-config.cmake": "set(hip_FOUND TRUE)\n",
        "lib/libamdhip64.so": Link(f"libamdhip64.so.{major}"),
        f"lib/libamdhip64.so.{major}": Link(f"libamdhip64.so.{hip}"),
        f"lib/libamdhip64.so.{hip}": "a library\n",
        f"lib/librocm-core.so.1.0.{packed(base)}": "a library\n",
        "lib/llvm/bin/clang++": Link("clang-23"),
        "lib/llvm/bin/clang-23": Program("#!/bin/sh\necho clang version 23\n"),
        "lib/llvm/lib/clang/23/include/stddef.h": "\n",
        "lib/llvm/lib/cmake/llvm/LLVMConfigVersion.cmake": 'set(PACKAGE_VERSION "23.0.0git")\n',
        **below("lib/llvm/amdgcn/bitcode", bitcode(*targets)),
        "libexec/rocm_smi/rsmi.py": "\n",
        "llvm": Link("lib/llvm"),
        MANIFEST: json.dumps(manifest, indent=2),
    }


def classic(release: str = "6.4.4", build: int = 129) -> Tree:
    """Return a ROCm of AMD's packages: /opt/rocm-6.4.4."""
    hip = ".".join([*release.split(".")[:2], packed(release)])
    return {
        ".info/version": f"{release}-{build}\n",
        "bin/hipcc": Program("#!/bin/sh\n"),
        "include/hip/hip_version.h": header("HIP", f"{release.rsplit('.', 1)[0]}.43484"),
        "include/rocm-core/rocm_version.h": header("ROCM", release),
        "lib/cmake/hip/hip-config.cmake": "\n",
        "lib/libamdhip64.so": Link(f"libamdhip64.so.{hip}"),
        f"lib/libamdhip64.so.{hip}": "a library\n",
        f"lib/librocm-core.so.1.0.{packed(release)}": "a library\n",
        "lib/llvm/bin/clang++": Program("#!/bin/sh\n"),
        "lib/llvm/include/llvm/Config/llvm-config.h": '#define LLVM_VERSION_STRING "19.0.0"\n',
        **below("amdgcn/bitcode", bitcode("gfx1100", "gfx1151")),
        "llvm": Link("lib/llvm"),
    }


def debian(llvm: int = 17, hip: str = "5.7.31921") -> Tree:
    """Return what of HIP and LLVM lies in the /usr of Debian."""
    major = hip.split(".", maxsplit=1)[0]
    return {
        "bin/hipcc": Program("#!/bin/sh\n"),
        "include/hip/hip_version.h": header("HIP", hip),
        f"lib/llvm-{llvm}/bin/clang++": Program("#!/bin/sh\n"),
        **below(f"lib/llvm-{llvm}/lib/clang/{llvm}/amdgcn/bitcode", bitcode("gfx1030", "gfx1151")),
        "lib/x86_64-linux-gnu/cmake/hip/hip-config.cmake": "\n",
        f"lib/x86_64-linux-gnu/libamdhip64.so.{major}": Link(f"libamdhip64.so.{hip}"),
        f"lib/x86_64-linux-gnu/libamdhip64.so.{hip}": "a library\n",
    }


def write(root: Path, tree: Mapping[str, str]) -> Path:
    """Write the tree below `root`; returns `root`."""
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, Link):
            path.symlink_to(text)
        else:
            path.write_text(text)
            path.chmod(0o755 if isinstance(text, Program) else 0o644)
    return root


def tarball(
    tree: Mapping[str, str], top: str = "", more: Mapping[str, bytes] | None = None
) -> bytes:
    """Return the tree as a tar.gz; `top` stands before each name: nothing, ./ or a folder/.

    `more` are files of bytes.
    """
    contents = {name: text.encode() for name, text in tree.items()} | dict(more or {})
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz", compresslevel=1) as tar:
        folders = {str(one) for name in tree for one in Path(name).parents} - {"."}
        for name in [*([""] if top else []), *sorted(folders)]:
            info = tarfile.TarInfo(f"{top}{name}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, content in sorted(contents.items()):
            text = tree.get(name, "")
            info = tarfile.TarInfo(f"{top}{name}")
            if isinstance(text, Link):
                info.type, info.linkname = tarfile.SYMTYPE, str(text)
                tar.addfile(info)
                continue
            info.size = len(content)
            info.mode = 0o755 if isinstance(text, Program) else 0o644
            tar.addfile(info, io.BytesIO(content))
    return body.getvalue()


def bytes_read() -> int:
    """Return how many bytes this process has read in all."""
    match = re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())
    assert match is not None
    return int(match[1])


def next_tick() -> None:
    """Let the clock of file times go on: the kernel moves it every few milliseconds."""
    time.sleep(0.02)
