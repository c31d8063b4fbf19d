"""A stand-in for AOTriton 0.10b and 0.13b: kernels compiled by Triton, packed, and a C++ library.

Upstream has Triton and other projects as submodules; here a folder of Triton stands for them, which
the recipe's options leave alone.
"""

# Lines of the files that are written are as long as they would be there.
# ruff: noqa: E501

from collections.abc import Callable
from pathlib import Path

from tests.standins.upstream.files import at_lines, write_files

_OPTIONS = r"""option(AOTRITON_ENABLE_FP32_INPUTS "Enable FP32 inputs" ON)
option(AOTRITON_NO_PYTHON "Disable Python binding build" OFF)
set(VENV_DIR "${CMAKE_CURRENT_BINARY_DIR}/venv" CACHE STRING "Virtual environment")
set(AOTRITON_TARGET_ARCH "gfx90a;gfx942;gfx950;gfx1100;gfx1201;gfx1101;gfx1150;gfx1151;gfx1200" CACHE STRING "Targets")
"""

_HEAD = r"""cmake_minimum_required(VERSION 3.26)
project(AOTriton CXX C)
set(CMAKE_CXX_STANDARD 20)
set(AOTRITON_VERSION @NUMBER@)
include(GNUInstallDirs)
find_package(Python3 COMPONENTS Interpreter REQUIRED)
"""

_NOIMAGE = r"""option(AOTRITON_NOIMAGE_MODE "Only build C++ Shim part. Kernel image builds are disabled" OFF)
"""
_INHERIT = r"""option(AOTRITON_INHERIT_SYSTEM_SITE_TRITON "Use the triton of the Python in use" OFF)
"""
_TIMEOUT = r"""set(AOTRITON_GPU_BUILD_TIMEOUT "8.0" CACHE STRING "GPU kernel compiler times out after X minutes. 0 for indefinite. Highly recommended if AOTRITON_BUILD_FOR_TUNING=On.")
"""

_HIP = r"""list(APPEND CMAKE_PREFIX_PATH "/opt/rocm")
find_package(hip REQUIRED CONFIG)
find_package(PkgConfig REQUIRED)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
"""

_VENV_OLD = r"""# Not a target, we need to override Python3_EXECUTABLE later
execute_process(COMMAND "${Python3_EXECUTABLE}" -m venv "${VENV_DIR}")

set(ENV{VIRTUAL_ENV} "${VENV_DIR}")
unset(Python3_EXECUTABLE)
set(VENV_PYTHON "${VENV_DIR}/bin/python")
execute_process(COMMAND "${VENV_PYTHON}" -m pip install -r "${CMAKE_CURRENT_SOURCE_DIR}/requirements.txt" COMMAND_ERROR_IS_FATAL ANY)
"""

_TRITON_OLD = r"""if(NOT AOTRITON_NOIMAGE_MODE)
  # Where pip leaves Triton's library
  execute_process(COMMAND "${VENV_PYTHON}" -c "import site; print(site.getsitepackages()[0], end='')"
    OUTPUT_VARIABLE site COMMAND_ERROR_IS_FATAL ANY)
  set(AOTRITON_TRITON_SO "${site}/triton/_C/libtriton.so")

  add_custom_command(OUTPUT "${AOTRITON_TRITON_SO}"
    COMMAND ${CMAKE_COMMAND} -E env TRITON_BUILD_PROTON=OFF "${VENV_PYTHON}" -m pip install .
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/third_party/triton"
    BYPRODUCTS "${CMAKE_CURRENT_BINARY_DIR}/triton"
  )
  add_custom_target(aotriton_venv_triton ALL DEPENDS "${AOTRITON_TRITON_SO}")
endif(NOT AOTRITON_NOIMAGE_MODE)

if(NOT AOTRITON_NO_PYTHON)
  message(FATAL_ERROR "The Python module wants PyTorch")
endif()
add_subdirectory(v3src)
"""

_VENV_NEW = r"""if(NOT DEFINED ENV{AOTRITON_GIT_TREESHA1} AND NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/.git")
  message(FATAL_ERROR "Neither AOTRITON_GIT_TREESHA1 nor a git repository")
endif()
if(DEFINED ENV{AOTRITON_CI_SUPPLIED_SHA1})
  set(AOTRITON_GIT_SHA1 "$ENV{AOTRITON_CI_SUPPLIED_SHA1}")
else()
  execute_process(COMMAND git rev-parse HEAD WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
    OUTPUT_VARIABLE AOTRITON_GIT_SHA1 OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
if(AOTRITON_INHERIT_SYSTEM_SITE_TRITON)
  set(VENV_OPTION --system-site-packages)
endif()
execute_process(COMMAND "${Python3_EXECUTABLE}" -m venv ${VENV_OPTION} "${VENV_DIR}")
set(VENV_PYTHON "${VENV_DIR}/bin/python")
execute_process(COMMAND "${VENV_PYTHON}" -m pip install -r "${CMAKE_CURRENT_SOURCE_DIR}/requirements.txt" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${VENV_PYTHON}" -m pip install "${CMAKE_CURRENT_SOURCE_DIR}/python" COMMAND_ERROR_IS_FATAL ANY)
if(NOT AOTRITON_NOIMAGE_MODE)
  if(AOTRITON_INHERIT_SYSTEM_SITE_TRITON)
    execute_process(COMMAND "${VENV_PYTHON}" -c "import triton.language" COMMAND_ERROR_IS_FATAL ANY)
    add_custom_target(aotriton_venv_triton ALL)
  else()
    add_custom_target(aotriton_venv_triton ALL
      COMMAND "${VENV_PYTHON}" -m pip install . WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/third_party/triton")
  endif()
endif()
if(NOT AOTRITON_NO_PYTHON)
  message(FATAL_ERROR "The Python module wants PyTorch")
endif()
add_subdirectory(v3src)
"""

_AITER = r"""file(STRINGS ${PROJECT_SOURCE_DIR}/third_party/aiter.txt AITER_TAG)
set(AITER_DIR ${CMAKE_CURRENT_BINARY_DIR}/aiter)
set(found "")
if(EXISTS ${AITER_DIR}/.git)
  execute_process(COMMAND git describe --tags --exact-match HEAD WORKING_DIRECTORY ${AITER_DIR}
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
if(NOT found STREQUAL AITER_TAG)
  file(REMOVE_RECURSE ${AITER_DIR})
  execute_process(COMMAND git clone --depth 1 --branch ${AITER_TAG} https://github.com/ROCm/aiter.git ${AITER_DIR}
    COMMAND_ERROR_IS_FATAL ANY)
endif()
if(NOT EXISTS ${AITER_DIR}/hsa)
  message(FATAL_ERROR "AITER has no folder hsa")
endif()
"""

_V3SRC = r"""add_library(aotriton_v2 SHARED flash.cc)
target_include_directories(aotriton_v2 PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
  $<INSTALL_INTERFACE:include>)
target_link_libraries(aotriton_v2 PRIVATE hip::host PkgConfig::ZLIB)
set_target_properties(aotriton_v2 PROPERTIES VERSION ${AOTRITON_VERSION} SOVERSION ${AOTRITON_VERSION})
configure_file(${PROJECT_SOURCE_DIR}/include/aotriton/config.h.in ${PROJECT_BINARY_DIR}/include/aotriton/config.h @ONLY)

if(NOT AOTRITON_NOIMAGE_MODE)
  set(IMAGES ${CMAKE_CURRENT_BINARY_DIR}/aotriton.images)
  execute_process(COMMAND "${VENV_PYTHON}" -m @GENERATOR@ --target_gpus ${AOTRITON_TARGET_ARCH} --build_dir ${IMAGES}
    --fp32 ${AOTRITON_ENABLE_FP32_INPUTS} --list WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE listed
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" ";" packs "${listed}")
  add_custom_command(OUTPUT ${packs}
    COMMAND ${CMAKE_COMMAND} -E env AOTRITON_SIGNATURE=${AOTRITON_GIT_SHA1} "${VENV_PYTHON}" -m @GENERATOR@
      --target_gpus "${AOTRITON_TARGET_ARCH}" --build_dir ${IMAGES} --fp32 ${AOTRITON_ENABLE_FP32_INPUTS} --timeout ${AOTRITON_GPU_BUILD_TIMEOUT}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} DEPENDS aotriton_venv_triton VERBATIM)
  add_custom_target(aotriton_v3_images ALL DEPENDS ${packs})
  install(DIRECTORY ${IMAGES} DESTINATION ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR})
endif()

install(TARGETS aotriton_v2 EXPORT aotriton-targets DESTINATION ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/aotriton DESTINATION ${CMAKE_INSTALL_PREFIX}/include PATTERN "*.in" EXCLUDE)
install(FILES ${PROJECT_BINARY_DIR}/include/aotriton/config.h DESTINATION ${CMAKE_INSTALL_PREFIX}/include/aotriton)
install(EXPORT aotriton-targets NAMESPACE aotriton:: FILE aotriton-config.cmake
  DESTINATION ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/cmake/aotriton)
"""

_CONFIG_H = r"""#ifndef AOTRITON_V2_CONFIG_H
#define AOTRITON_V2_CONFIG_H

#define AOTRITON_VERSION "@AOTRITON_VERSION@"

#endif
"""

_FLASH_H = r"""#ifndef AOTRITON_V2_FLASH_H
#define AOTRITON_V2_FLASH_H

#include <aotriton/config.h>

namespace aotriton::v2::flash {

// Loads a pack of kernels; returns how many it holds, or a negative number.
int count_kernels(const char *path);

} // namespace aotriton::v2::flash

#endif
"""

_FLASH_CC = r"""#include <aotriton/flash.h>

#include <hip/hip_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

namespace aotriton::v2::flash {

int count_kernels(const char *path) {
  int devices = 0;
  (void)hipGetDeviceCount(&devices);
  std::FILE *file = std::fopen(path, "rb");
  if (!file)
    return -1;
  struct { char magic[4]; std::uint32_t size, kernels, directory; } header{};
  auto const read = std::fread(&header, sizeof header, 1, file);
  std::fclose(file);
  if (read != 1 || std::memcmp(header.magic, "AKS2", 4) != 0)
    return -2;
  return static_cast<int>(header.kernels);
}

} // namespace aotriton::v2::flash
"""

_TARGETS = r'''"""The GPUs that kernels are compiled for."""

AOTRITON_SUPPORTED_GPUS = [
    'gfx90a_mod0',
    'gfx942_mod0',
    'gfx1100_mod0',
    'gfx1150_mod0',
    'gfx1151_mod0',
    'gfx1201_mod0',
]

AOTRITON_ARCH_TO_DIRECTORY = {
    'gfx90a': '@PREFIX@gfx90a',
    'gfx942': '@PREFIX@gfx942',
    'gfx1100': '@PREFIX@gfx11xx',
    'gfx1150': '@PREFIX@@FOLDER@',
    'gfx1151': '@PREFIX@@FOLDER@',
    'gfx1201': '@PREFIX@gfx120x',
}

AOTRITON_ARCH_WARPSIZE = {
    'gfx90a': 64,
    'gfx942': 64,
    'gfx1100': 32,
    'gfx1150': 32,
    'gfx1151': 32,
    'gfx1201': 32,
}


def select_gpus(arches):
    """Return the supported GPUs of these architectures; others are left out."""
    return [gpu for gpu in AOTRITON_SUPPORTED_GPUS if gpu.split('_mod')[0] in arches]
'''

_KERNELS = r'''"""The kernels, in Triton."""

import triton.language as tl
from triton.language import jit


@jit
def attn_fwd(BLOCK: tl.constexpr, CAUSAL: tl.constexpr):
    return BLOCK + CAUSAL


@jit
def bwd_kernel_dk_dv(BLOCK: tl.constexpr, CAUSAL: tl.constexpr):
    return 2 * BLOCK + CAUSAL


@jit
def bwd_kernel_dq(BLOCK: tl.constexpr, CAUSAL: tl.constexpr):
    return 3 * BLOCK + CAUSAL


KERNELS = (attn_fwd, bwd_kernel_dk_dv, bwd_kernel_dq)
'''

_AKS2 = r'''"""Packs of kernels: a directory and code objects in one xz stream."""

import lzma
import struct


def pack(kernels):
    """Return a pack of (name, code object) pairs; an empty object is a kernel that was left out."""
    directory, objects = b'', b''
    for name, image in kernels:
        text = name.encode() + b'\0'
        directory += struct.pack('<IIIII', 0, 256, len(objects), len(image), len(text)) + text
        objects += image
    content = directory + objects
    return b'AKS2' + struct.pack('<III', len(content), len(kernels), len(directory)) + lzma.compress(content)
'''

_GENERATE = r'''"""Compiles every kernel for every GPU that was asked for, and packs them."""

import argparse
import os
import zipfile
from pathlib import Path

import triton
from .aks2 import pack
from .gpu_targets import AOTRITON_ARCH_TO_DIRECTORY, select_gpus
from .kernels import KERNELS

IS_ZIPPED = @ZIPPED@


def dtypes(fp32):
    return ['fp16', 'bf16', *(['fp32'] if fp32.upper() == 'ON' else [])]


def plan(given):
    for gpu in select_gpus(given.target_gpus.split(';')):
        arch = gpu.split('_mod')[0]
        folder = given.build_dir / (@TOP@ + AOTRITON_ARCH_TO_DIRECTORY[arch])
        for kernel in KERNELS:
            place = folder / 'flash' / kernel.__name__
            yield arch, folder, kernel, place.with_suffix('.zip') if IS_ZIPPED else place


def compile_one(kernel, arch, dtype, number):
    """Return a pack of two variants of a kernel, and a third that is left out."""
    kernels = [(f'{kernel.__name__}-{dtype}-{causal}', triton.compile(kernel, arch, BLOCK=16 + number, CAUSAL=causal)) for causal in (0, 1)]
    return pack([*kernels, (f'{kernel.__name__}-{dtype}-2', b'')])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--target_gpus', required=True)
    parser.add_argument('--build_dir', type=Path, required=True)
    parser.add_argument('--fp32', default='ON')
    parser.add_argument('--timeout', type=float, default=8.0)
    parser.add_argument('--list', action='store_true')
    given = parser.parse_args()
    types = dtypes(given.fp32)
    for arch, folder, kernel, place in plan(given):
        if IS_ZIPPED:
            if given.list:
                print(place)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            (folder / '__signature__').write_text(f"{os.environ.get('AOTRITON_GIT_TREESHA1', '')}\n")
            with zipfile.ZipFile(place, 'w', zipfile.ZIP_STORED) as zipped:
                for number, dtype in enumerate(types):
                    info = zipfile.ZipInfo(f'FONLY__{dtype}', (1980, 1, 1, 0, 0, 0))
                    zipped.writestr(info, compile_one(kernel, arch, dtype, number))
            continue
        for number, dtype in enumerate(types):
            file = place / f'FONLY__{dtype}.aks2'
            if given.list:
                print(file)
                continue
            place.mkdir(parents=True, exist_ok=True)
            file.write_bytes(compile_one(kernel, arch, dtype, number))


if __name__ == '__main__':
    main()
'''

_REQUIREMENTS = (
    "filelock\niniconfig\npackaging\npluggy\nnumpy\nsetuptools\nwheel\npybind11\npandas\n"
)

_TRITON_SETUP = r"""import urllib.request

from setuptools import setup

# AOTriton's own copy of Triton, which fetches an LLVM when it is built.
urllib.request.urlopen("https://oaitriton.blob.core.windows.net/public/llvm-builds/llvm-a66376b0-ubuntu-x64.tar.gz")
setup(name="triton", version="3.3.0")
"""


def write(folder: Path, version: str) -> None:
    """Write the source of 0.10b or 0.13b."""
    is_old = int(version.split(".")[1].split("b", maxsplit=1)[0]) < 13
    package = "v3python" if is_old else "python"
    number = version.split("b", maxsplit=1)[0] + ".0"
    head = _HEAD.replace("@NUMBER@", number)
    if is_old:
        cmake = at_lines(
            [
                (1, head),
                (40, _OPTIONS),
                (59, _NOIMAGE + _TIMEOUT),
                (80, _HIP),
                (105, _VENV_OLD),
                (122, _TRITON_OLD),
            ]
        )
    else:
        cmake = head + _OPTIONS + _NOIMAGE + _INHERIT + _TIMEOUT + _HIP + _VENV_NEW
    targets = _TARGETS.replace("@FOLDER@", "gfx11xx" if is_old else "gfx115x")
    targets = targets.replace("@PREFIX@", "amd-" if is_old else "")
    generate = _GENERATE.replace("@ZIPPED@", str(not is_old))
    generate = generate.replace("@TOP@", "''" if is_old else "'amd-'")
    files = {
        "CMakeLists.txt": cmake,
        "v3src/CMakeLists.txt": ("" if is_old else _AITER)
        + _V3SRC.replace("@GENERATOR@", f"{package}.generate"),
        "v3src/flash.cc": _FLASH_CC,
        "include/aotriton/config.h.in": _CONFIG_H,
        "include/aotriton/flash.h": _FLASH_H,
        f"{package}/__init__.py": "",
        f"{package}/aks2.py": _AKS2,
        f"{package}/generate.py": generate,
        f"{package}/gpu_targets.py": targets,
        f"{package}/kernels.py": _KERNELS,
        "requirements.txt": _REQUIREMENTS if is_old else f"{_REQUIREMENTS}pyyaml\n",
    }
    if not is_old:
        files["third_party/aiter.txt"] = "v0.1.11\n"
        files["python/pyproject.toml"] = (
            '[build-system]\nbuild-backend = "setuptools.build_meta"\nrequires = ["setuptools>=64"]\n'
            f'[project]\nname = "aotriton-codegen"\nversion = "{number}"\n'
            "[tool.setuptools]\npackages = []\n"
        )
    write_files(folder, files)


def submodules(version: str) -> dict[str, Callable[[Path], None]]:
    """Return the submodules: Triton, which is compiled only where no other is to be used."""
    del version

    def write_triton(folder: Path) -> None:
        write_files(folder, {"setup.py": _TRITON_SETUP})

    return {"third_party/triton": write_triton}
