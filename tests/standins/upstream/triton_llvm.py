"""A stand-in for the LLVM that Triton is compiled against: the files that its build opens."""

from pathlib import Path

from tests.standins.upstream.files import write_files

_HASHES = {
    "3.4.0": "8957e64a20fc7f4277565c6cfe3e555c119783ce",
    "3.8.0": "5f07f818b51b786b0a87b4e514882600ecba112f",
}
_TOOL = """#!/bin/sh
exec /usr/lib/llvm-17/bin/{0} "$@"
"""
_HEADER = """#ifndef MLIR_IR_STANDIN_H
#define MLIR_IR_STANDIN_H

#define MLIR_COMMIT "{0}"

#endif
"""
_CONFIG = """get_filename_component(_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(@NAME@_INCLUDE_DIRS "${_prefix}/include")
set(@NAME@_TOOLS_BINARY_DIR "${_prefix}/bin")
"""


def write(folder: Path, version: str) -> None:
    """Write the tree of the LLVM that this Triton names."""
    files = {f"bin/{name}": _TOOL.format(name) for name in ("clang++", "llvm-as", "llvm-mc")}
    files["bin/FileCheck"] = '#!/bin/sh\nexec grep -q CHECK "$1"\n'
    files["include/mlir/IR/Standin.h"] = _HEADER.format(_HASHES[version])
    for name in ("LLVM", "MLIR"):
        files[f"lib/cmake/{name.lower()}/{name}Config.cmake"] = _CONFIG.replace("@NAME@", name)
    write_files(folder, files)
    for path in (folder / "bin").iterdir():
        path.chmod(0o755)
