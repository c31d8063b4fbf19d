"""A stand-in for hipBLASLt 6.4: a library, and kernels that a small Tensile writes and assembles."""

# Lines of the files that are written are as long as they would be there.
# ruff: noqa: E501

from pathlib import Path

from tests.standins.upstream.files import write_files

_CMAKE = r"""cmake_minimum_required(VERSION 3.25.2)
if(NOT DEFINED CMAKE_CXX_COMPILER)
  set(CMAKE_CXX_COMPILER amdclang++)
endif()
set(CMAKE_INSTALL_PREFIX "/opt/rocm" CACHE PATH "Where it is installed")
project(hipblaslt LANGUAGES CXX)
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "hipblaslt: ${CMAKE_CXX_COMPILER} is no clang")
endif()
set(CMAKE_CXX_STANDARD 17)
set(ROCM_PATH "/opt/rocm" CACHE PATH "Where ROCm is")
option(HIPBLASLT_ENABLE_MARKER "Marks for roctracer" ON)
option(BUILD_CLIENTS_TESTS "Build the tests" OFF)

list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_SOURCE_DIR}/cmake)
include(Dependencies)
include(ROCMSetupVersion)
include(GNUInstallDirs)
set(CMAKE_INSTALL_LIBDIR lib)
rocm_setup_version(VERSION "0.12.1")

rocm_check_target_ids(DEFAULT_AMDGPU_TARGETS
  TARGETS "gfx908:xnack+;gfx90a;gfx942;gfx950;gfx1100;gfx1101;gfx1150;gfx1151;gfx1200;gfx1201")
set(AMDGPU_TARGETS "${DEFAULT_AMDGPU_TARGETS}" CACHE STRING "Targets of the kernels")
set(Tensile_ARCHITECTURE "${AMDGPU_TARGETS}" CACHE STRING "Targets of Tensile")
set(Tensile_CPU_THREADS "" CACHE STRING "Workers of TensileCreateLibrary")
set(Tensile_LOGIC "asm_full" CACHE STRING "Logic files")

include(virtualenv)
virtualenv_install(${CMAKE_SOURCE_DIR}/tensilelite)
find_package(Tensile 4.33.0 EXACT REQUIRED CONFIG PATHS ${VIRTUALENV_HOME_DIR} NO_DEFAULT_PATH)

list(APPEND CMAKE_PREFIX_PATH ${ROCM_PATH})
find_package(hip REQUIRED CONFIG PATHS ${ROCM_PATH})
find_package(hipblas-common REQUIRED CONFIG)
if(HIPBLASLT_ENABLE_MARKER)
  find_library(ROCTX NAMES roctx64 REQUIRED)
endif()
if(BUILD_CLIENTS_TESTS)
  include(FetchContent)
  FetchContent_Declare(googletest GIT_REPOSITORY https://github.com/google/googletest.git GIT_TAG v1.15.2)
  FetchContent_MakeAvailable(googletest)
endif()
add_subdirectory(library)
"""

# find_package under the new name leaves ROCM_FOUND alone, so it is fetched although it is there.
_DEPENDENCIES = r"""find_package(ROCmCMakeBuildTools 0.11.0 CONFIG QUIET PATHS /opt/rocm)
if(NOT ROCM_FOUND)
  message(STATUS "ROCm CMake not found. Installing from the web.")
  file(DOWNLOAD https://github.com/RadeonOpenCompute/rocm-cmake/archive/master.tar.gz
    ${CMAKE_BINARY_DIR}/rocm-cmake.tar.gz STATUS status LOG log)
  list(GET status 0 code)
  if(code)
    message(FATAL_ERROR "rocm-cmake cannot be downloaded: ${status}\n${log}")
  endif()
endif()
function(rocm_check_target_ids variable)
  cmake_parse_arguments(_ids "" "" "TARGETS" ${ARGN})
  set(${variable} "${_ids_TARGETS}" PARENT_SCOPE)
endfunction()
"""

_VIRTUALENV = r"""find_program(VIRTUALENV_PYTHON_EXE python3 REQUIRED)
set(VIRTUALENV_HOME_DIR ${CMAKE_BINARY_DIR}/virtualenv CACHE PATH "Path to virtual environment")

function(virtualenv_create)
  execute_process(
    COMMAND ${VIRTUALENV_PYTHON_EXE} -m venv ${VIRTUALENV_HOME_DIR} --system-site-packages --clear
    COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${VIRTUALENV_HOME_DIR}/bin/python3 -m pip install --upgrade pip)
  execute_process(COMMAND ${VIRTUALENV_HOME_DIR}/bin/python3 -m pip install --upgrade setuptools)
endfunction()

function(virtualenv_install)
  virtualenv_create()
  execute_process(
    COMMAND ${VIRTUALENV_HOME_DIR}/bin/python3 -m pip install ${ARGN}
    COMMAND_ERROR_IS_FATAL ANY)
endfunction()
"""

_LIBRARY = r"""add_library(hipblaslt SHARED src/hipblaslt.cpp)
target_include_directories(hipblaslt PUBLIC
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(hipblaslt PUBLIC roc::hipblas-common PRIVATE hip::device)
set_target_properties(hipblaslt PROPERTIES VERSION 0.12 SOVERSION 0 CXX_VISIBILITY_PRESET hidden)

set(built ${CMAKE_BINARY_DIR}/Tensile/library)
if(Tensile_CPU_THREADS MATCHES "^[0-9]+$")
  set(workers --jobs=${Tensile_CPU_THREADS})
endif()
tensile_create_library(
  LOGIC ${CMAKE_CURRENT_SOURCE_DIR}/src/amd_detail/rocblaslt/src/Tensile/Logic/${Tensile_LOGIC}
  OUTPUT ${built} ARCHITECTURE ${Tensile_ARCHITECTURE} COMPILER ${CMAKE_CXX_COMPILER} OPTIONS ${workers})
set(scripts ${CMAKE_CURRENT_SOURCE_DIR}/src/amd_detail/rocblaslt/src/kernels)
add_custom_command(OUTPUT ${built}/extop.done
  COMMAND bash ${CMAKE_SOURCE_DIR}/tensilelite/Tensile/Ops/gen_assembly.sh "${Tensile_ARCHITECTURE}" ${built} ${VIRTUALENV_HOME_DIR}
  COMMAND ${CMAKE_COMMAND} -E touch ${built}/extop.done
  DEPENDS ${built}/TensileLibrary.done)
add_custom_command(OUTPUT ${built}/transform.done
  COMMAND bash ${scripts}/compile_code_object.sh ${scripts}/matrix_transform.cpp "${AMDGPU_TARGETS}" ${CMAKE_BUILD_TYPE} ${built}/hipblasltTransform.hsaco
  COMMAND ${CMAKE_COMMAND} -E touch ${built}/transform.done
  DEPENDS ${scripts}/matrix_transform.cpp)
add_custom_target(kernels ALL DEPENDS ${built}/TensileLibrary.done ${built}/extop.done ${built}/transform.done)

install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS hipblaslt EXPORT hipblaslt-targets DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${built}/ DESTINATION ${CMAKE_INSTALL_LIBDIR}/hipblaslt/library PATTERN "*.done" EXCLUDE)
install(EXPORT hipblaslt-targets NAMESPACE roc:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hipblaslt)
file(WRITE ${CMAKE_BINARY_DIR}/hipblaslt-config.cmake
  "include(CMakeFindDependencyMacro)\nfind_dependency(hipblas-common)\nfind_dependency(hip)\n"
  "include(\"\${CMAKE_CURRENT_LIST_DIR}/hipblaslt-targets.cmake\")\n")
install(FILES ${CMAKE_BINARY_DIR}/hipblaslt-config.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hipblaslt)
"""

_HEADER = r"""#ifndef HIPBLASLT_H
#define HIPBLASLT_H

#include <hipblas-common/hipblas-common.h>

#ifdef __cplusplus
extern "C" {
#endif
__attribute__((visibility("default"))) int hipblasLtGetVersion(int* version);
__attribute__((visibility("default"))) int hipblasLtScale(float* values, float factor, int count);
#ifdef __cplusplus
}
#endif

#endif
"""

_SOURCE = r"""#include <hip/hip_runtime.h>
#include <hipblaslt/hipblaslt.h>

__global__ void scale(float* values, float factor, int count)
{
    int const at = blockIdx.x * blockDim.x + threadIdx.x;
    if(at < count)
        values[at] *= factor;
}

extern "C" int hipblasLtGetVersion(int* version)
{
    *version = 1201;
    return 0;
}

extern "C" int hipblasLtScale(float* values, float factor, int count)
{
    scale<<<dim3((count + 255) / 256), dim3(256)>>>(values, factor, count);
    return hipGetLastError();
}
"""

_TRANSFORM = r"""#include <hip/hip_runtime.h>

extern "C" __global__ void transform(float* to, float const* from, float scale, int rows, int columns)
{
    int const row = blockIdx.x * blockDim.x + threadIdx.x, column = blockIdx.y;
    if(row < rows && column < columns)
        to[row * columns + column] = from[column * rows + row] * scale;
}
"""

_COMPILE = r"""#!/bin/bash
# compile_code_object.sh SOURCE ARCHITECTURES BUILD_TYPE OUT
rocm_path="${ROCM_PATH:-/opt/rocm}"
level=-O3
[ "$3" = Release ] || level=-O0
targets=()
for one in ${2//;/ }; do targets+=("--offload-arch=$one"); done
exec "${rocm_path}/bin/amdclang++" -x hip "$1" "${targets[@]}" --offload-device-only -std=c++17 $level -o "$4"
"""

_GEN_ASSEMBLY = r"""#!/bin/bash
# gen_assembly.sh ARCHITECTURES OUT VENV: the extra operations, written by Python and assembled.
set -e
rocm_path="${ROCM_PATH:-/opt/rocm}"
. "$3/bin/activate"
for arch in ${1//;/ }; do
    python3 -m Tensile.Ops.softmax "$arch" "$2/extop_$arch.s"
    "${rocm_path}/bin/amdclang++" -x assembler -target amdgcn-amd-amdhsa -mcpu="$arch" -mcode-object-version=4 -c -o "$2/extop_$arch.o" "$2/extop_$arch.s"
    "${rocm_path}/bin/amdclang++" -target amdgcn-amd-amdhsa -o "$2/extop_$arch.co" "$2/extop_$arch.o"
    python3 -m Tensile.Ops.index "$arch" "$2/hipblasltExtOpLibrary.dat"
    rm "$2/extop_$arch.s" "$2/extop_$arch.o"
done
"""

_SETUP = r"""from setuptools import setup

setup(
    name="Tensile",
    version="4.33.0",
    packages=["Tensile", "Tensile.Ops"],
    data_files=[("cmake", ["Tensile/cmake/TensileConfig.cmake", "Tensile/cmake/TensileConfigVersion.cmake"])],
    install_requires=open("requirements.txt").read().split(),
    entry_points={"console_scripts": ["TensileCreateLibrary = Tensile.TensileCreateLibrary:main"]},
)
"""

_TENSILE_CMAKE = r"""function(tensile_create_library)
  cmake_parse_arguments(_create "" "LOGIC;OUTPUT;COMPILER" "ARCHITECTURE;OPTIONS" ${ARGN})
  string(REPLACE ";" "_" names "${_create_ARCHITECTURE}")
  add_custom_command(OUTPUT ${_create_OUTPUT}/TensileLibrary.done
    COMMAND ${VIRTUALENV_BIN_DIR}/TensileCreateLibrary --architecture=${names} --cxx-compiler=${_create_COMPILER}
      ${_create_OPTIONS} ${_create_LOGIC} ${_create_OUTPUT}
    COMMAND ${CMAKE_COMMAND} -E touch ${_create_OUTPUT}/TensileLibrary.done)
endfunction()
"""

_TENSILE_VERSION = r"""set(PACKAGE_VERSION "4.33.0")
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
"""

_COMMON = r'''architectureMap = {
    'all': '_', 'gfx90a': 'aldebaran', 'gfx942': 'aquavanjaram942', 'gfx1100': 'navi31',
    'gfx1150': 'gfx1150', 'gfx1151': 'gfx1151', 'gfx1201': 'gfx1201',
}

KERNEL = """\
.amdgcn_target "amdgcn-amd-amdhsa--{arch}"
.text
.globl {name}
.p2align 8
.type {name},@function
{name}:
  s_load_b64 s[0:1], s[0:1], 0x0
  v_mov_b32 v1, {value}
  v_lshlrev_b32 v0, 2, v0
  s_waitcnt lgkmcnt(0)
  global_store_b32 v0, v1, s[0:1]
  s_endpgm
.Lend:
.size {name}, .Lend-{name}

.rodata
.p2align 6
.amdhsa_kernel {name}
  .amdhsa_user_sgpr_kernarg_segment_ptr 1
  .amdhsa_next_free_vgpr 8
  .amdhsa_next_free_sgpr 8
  .amdhsa_wavefront_size32 1
.end_amdhsa_kernel

.amdgpu_metadata
---
amdhsa.version: [1, 1]
amdhsa.target: amdgcn-amd-amdhsa--{arch}
amdhsa.kernels:
  - .name: {name}
    .symbol: {name}.kd
    .kernarg_segment_size: 8
    .kernarg_segment_align: 8
    .group_segment_fixed_size: 0
    .private_segment_fixed_size: 0
    .wavefront_size: 32
    .sgpr_count: 8
    .vgpr_count: 8
    .max_flat_workgroup_size: 256
    .args:
      - {{ .size: 8, .offset: 0, .value_kind: global_buffer, .address_space: global }}
...
.end_amdgpu_metadata
"""
'''

_CREATE = r"""import argparse
import subprocess
from pathlib import Path

import joblib
import msgpack
import yaml

from .Common import KERNEL, architectureMap


def assemble(compiler, arch, solution, folder):
    source = folder / f"{solution['Name']}.s"
    source.write_text(KERNEL.format(arch=arch, name=solution["Name"], value=solution["Value"]))
    made = source.with_suffix(".o")
    target = ["-target", "amdgcn-amd-amdhsa"]
    subprocess.run(
        [compiler, "-x", "assembler", *target, f"-mcpu={arch}", "-mcode-object-version=4", "-c", "-o", made, source],
        check=True,
    )
    source.unlink()
    return made


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--architecture")
    parser.add_argument("--cxx-compiler")
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("logic", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    for arch in given.architecture.split("_"):
        if arch not in architectureMap:
            raise SystemExit(f"Architecture {arch} not supported")
        logic = [yaml.safe_load(file.read_text()) for file in sorted(given.logic.rglob(f"{architectureMap[arch]}_*.yaml"))]
        print(f"# {len(logic)} logic file(s) for {arch}, {given.jobs} worker(s)")
        for one in logic:
            made = joblib.Parallel(n_jobs=given.jobs, prefer="threads")(
                joblib.delayed(assemble)(given.cxx_compiler, arch, solution, given.output)
                for solution in one["Solutions"]
            )
            name = f"TensileLibrary_{one['ProblemType']}_{arch}"
            subprocess.run(
                [given.cxx_compiler, "-target", "amdgcn-amd-amdhsa", "-o", given.output / f"{name}.co", *made], check=True
            )
            for file in made:
                file.unlink()
            index = [solution["Name"] for solution in one["Solutions"]]
            (given.output / f"{name}.dat").write_bytes(msgpack.packb({"solutions": index}))
"""

_SOFTMAX = r"""import sys
from pathlib import Path

from Tensile.Common import KERNEL

Path(sys.argv[2]).write_text(KERNEL.format(arch=sys.argv[1], name="Softmax_DT_S_MT_16_16", value="1.0"))
"""

_INDEX = r"""import sys
from pathlib import Path

import msgpack

index = {"softmax": {sys.argv[1]: ["Softmax_DT_S_MT_16_16"]}}
Path(sys.argv[2]).write_bytes(msgpack.packb(index))
"""

_LOGIC = """\
MinimumRequiredVersion: 4.33.0
ScheduleName: gfx1151
ArchitectureName: gfx1151
ProblemType: {problem}
Solutions:
- {{Name: Cijk_{problem}_MT16x16x16, Value: 1.0}}
- {{Name: Cijk_{problem}_MT32x32x16, Value: 2.0}}
"""


def write(folder: Path, version: str) -> None:
    """Write the source; every version of it is the same."""
    del version
    detail = "library/src/amd_detail/rocblaslt/src"
    logic = f"{detail}/Tensile/Logic/asm_full/gfx1151/Equality"
    files = {
        "CMakeLists.txt": _CMAKE,
        "cmake/Dependencies.cmake": _DEPENDENCIES,
        "cmake/virtualenv.cmake": _VIRTUALENV,
        "library/CMakeLists.txt": _LIBRARY,
        "library/include/hipblaslt/hipblaslt.h": _HEADER,
        "library/src/hipblaslt.cpp": _SOURCE,
        f"{detail}/kernels/matrix_transform.cpp": _TRANSFORM,
        f"{detail}/kernels/compile_code_object.sh": _COMPILE,
        f"{logic}/gfx1151_Cijk_HHS_BH.yaml": _LOGIC.format(problem="HHS_BH"),
        f"{logic}/gfx1151_Cijk_SB.yaml": _LOGIC.format(problem="SB"),
        "tensilelite/requirements.txt": "joblib\nmsgpack\npyyaml\n",
        "tensilelite/setup.py": _SETUP,
        "tensilelite/Tensile/__init__.py": '__version__ = "4.33.0"\n',
        "tensilelite/Tensile/Common.py": _COMMON,
        "tensilelite/Tensile/TensileCreateLibrary.py": _CREATE,
        "tensilelite/Tensile/Ops/__init__.py": "",
        "tensilelite/Tensile/Ops/index.py": _INDEX,
        "tensilelite/Tensile/Ops/softmax.py": _SOFTMAX,
        "tensilelite/Tensile/Ops/gen_assembly.sh": _GEN_ASSEMBLY,
        "tensilelite/Tensile/cmake/TensileConfig.cmake": _TENSILE_CMAKE,
        "tensilelite/Tensile/cmake/TensileConfigVersion.cmake": _TENSILE_VERSION,
    }
    write_files(folder, files)
