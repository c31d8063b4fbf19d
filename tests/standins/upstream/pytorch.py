"""A stand-in for PyTorch: hipify, CMake driven by setup.py, HIP libraries, a torch to import."""

from collections.abc import Callable
from pathlib import Path

from packaging.version import Version

from tests.standins.upstream.files import at_lines, write_files

AOTRITON = {"2.8": "0.10b", "2.13": "0.13b"}
"""The AOTriton that each release is written for."""


def write(folder: Path, version: str) -> None:
    """Write the source tree of a version, without its submodules."""
    line = ".".join(version.split(".")[:2])
    write_files(folder, COMMON | PACKAGE | (OLD if is_old(version) else NEW))
    (folder / "version.txt").write_text(f"{version}a0\n")
    place = folder / "cmake" / "External" / "aotriton.cmake"
    place.write_text(place.read_text().replace("@AOTRITON@", AOTRITON[line]))


def is_old(version: str) -> bool:
    """Say whether HIP is compiled by one script an object, and not as a language of CMake."""
    return Version(version) < Version("2.13")


def submodules(version: str) -> dict[str, Callable[[Path], None]]:
    """Return what writes each submodule; a path below another one is a submodule of that."""
    del version
    return {
        "third_party/composable_kernel": _writer(COMPOSABLE_KERNEL),
        "third_party/fbgemm": _writer(FBGEMM),
        "third_party/fbgemm/external/asmjit": _writer(ASMJIT),
        "third_party/gloo": _writer(GLOO),
    }


def _writer(files: dict[str, str]) -> Callable[[Path], None]:
    return lambda folder: write_files(folder, files)


COMPOSABLE_KERNEL = {
    "include/ck/ck.hpp": """
#pragma once
// The third word of a buffer resource differs between families of targets.
#if defined(__gfx90a__) || defined(__gfx942__)
#define CK_BUFFER_RESOURCE_3RD_DWORD 0x00020000
#elif defined(__gfx1100__) || defined(__gfx1101__) || defined(__gfx1151__)
#define CK_BUFFER_RESOURCE_3RD_DWORD 0x31004000
#elif !defined(__HIP_DEVICE_COMPILE__)
#define CK_BUFFER_RESOURCE_3RD_DWORD -1
#endif
"""
}

FBGEMM = {
    "CMakeLists.txt": """
cmake_minimum_required(VERSION 3.16)
project(fbgemm LANGUAGES CXX)
add_subdirectory(external/asmjit)
add_library(fbgemm STATIC src/fbgemm.cc)
target_link_libraries(fbgemm PUBLIC asmjit)
set_target_properties(fbgemm PROPERTIES POSITION_INDEPENDENT_CODE ON)
""",
    "src/fbgemm.cc": """
int asmjit_version();
int fbgemm_version() { return asmjit_version(); }
""",
}

ASMJIT = {
    "CMakeLists.txt": """
cmake_minimum_required(VERSION 3.16)
project(asmjit LANGUAGES CXX)
add_library(asmjit STATIC src/asmjit.cpp)
set_target_properties(asmjit PROPERTIES POSITION_INDEPENDENT_CODE ON)
""",
    "src/asmjit.cpp": "int asmjit_version() { return 1; }\n",
}

GLOO = {
    "CMakeLists.txt": """
cmake_minimum_required(VERSION 3.16)
project(gloo LANGUAGES CXX)
add_library(gloo STATIC gloo/gloo.cc)
set_target_properties(gloo PROPERTIES POSITION_INDEPENDENT_CODE ON)
""",
    "gloo/gloo.cc": "int gloo_ranks() { return 1; }\n",
}

COMMON = {
    "setup.py": '''
"""Builds torch: CMake makes the libraries, setuptools the module and the wheel."""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.dist import Distribution

from tools.build_pytorch_libs import build_pytorch

HERE = Path(__file__).resolve().parent
THIRD_PARTY = HERE / "third_party"
CMAKE_ONLY = os.environ.get("CMAKE_ONLY", "") in ("1", "ON")
if "--cmake-only" in sys.argv:
    sys.argv.remove("--cmake-only")
    CMAKE_ONLY = True


def check_submodules():
    """Clone the submodules where none is there; stop where one is missing."""
    folders = [THIRD_PARTY / name for name in ("gloo", "fbgemm", "composable_kernel")]
    if not any(folder.is_dir() and any(folder.iterdir()) for folder in folders):
        print(" --- cloning the submodules", flush=True)
        subprocess.check_call(
            ["git", "submodule", "update", "--init", "--recursive"], cwd=HERE
        )
    wanted = ("gloo/CMakeLists.txt", "fbgemm/external/asmjit/CMakeLists.txt")
    for name in (*wanted, "composable_kernel/include/ck/ck.hpp"):
        if not (THIRD_PARTY / name).exists():
            sys.exit(f"third_party/{name} is missing: git submodule update --init --recursive")


def version():
    """Return the wheel's version: what was asked for, or version.txt."""
    asked = os.environ.get("PYTORCH_BUILD_VERSION")
    if not asked:
        return (HERE / "version.txt").read_text().strip()
    number = int(os.environ["PYTORCH_BUILD_NUMBER"])
    return asked if number <= 1 else f"{asked}.post{number}"


def write_version(hip):
    """Write torch/version.py."""
    (HERE / "torch" / "version.py").write_text(
        f"__version__ = {version()!r}\\ndebug = False\\ncuda = None\\ngit_version = 'Unknown'\\n"
        f"hip = {hip!r}\\nxpu = None\\n"
    )


def requirements():
    """Return what the wheel asks for: the list below, and what the environment adds."""
    extra = os.environ.get("PYTORCH_EXTRA_INSTALL_REQUIREMENTS", "")
    wanted = ["filelock", "typing-extensions>=4.10.0", "sympy>=1.13.3", "networkx", "jinja2"]
    return [*wanted, "fsspec", *[one.strip() for one in extra.split("|") if one.strip()]]


def files_below(*names):
    """Return all files that CMake installed below torch."""
    torch = HERE / "torch"
    return [
        path.relative_to(torch).as_posix()
        for name in names
        for path in sorted((torch / name).rglob("*"))
        if path.is_file()
    ]


class BinaryDistribution(Distribution):
    """A wheel with libraries, whatever its modules are."""

    def has_ext_modules(self):
        """Say yes."""
        return True


def main():
    """Configure, build, pack."""
    check_submodules()
    hip = build_pytorch(HERE, cmake_only=CMAKE_ONLY)
    if CMAKE_ONLY:
        print("configured; go on with: cmake --build build", flush=True)
        return
    write_version(hip)
    module = Extension(
        "torch._C",
        sources=["torch/csrc/stub.c"],
        libraries=["torch_python"],
        library_dirs=["torch/lib"],
        extra_link_args=["-Wl,-rpath,$ORIGIN/lib"],
    )
    setup(
        name="torch",
        version=version(),
        license="BSD-3-Clause",
        packages=find_packages(include=["torch", "torch.*"]),
        package_data={"torch": files_below("lib", "include", "share")},
        ext_modules=[module],
        install_requires=requirements(),
        distclass=BinaryDistribution,
    )


main()
''',
    "tools/__init__.py": "",
    "tools/build_pytorch_libs.py": '''
"""What setup.py has done before it packs: NCCL's sources, CMake, and the build itself."""

import os
import subprocess

from tools.setup_helpers.cmake import CMake

OFF = ("OFF", "0", "NO", "FALSE", "N")


def is_off(name):
    """Say whether a variable switches something off."""
    return os.environ.get(name, "").upper() in OFF


def checkout_nccl(source):
    """Clone NCCL, which is no submodule."""
    place = source / "third_party" / "nccl"
    if not place.exists():
        url = "https://github.com/NVIDIA/nccl.git"
        subprocess.check_call(["git", "clone", "--depth", "1", url, str(place)])


def build_pytorch(source, cmake_only):
    """Run CMake, and unless it is to be CMake alone, what it made; return HIP's version."""
    if not (is_off("USE_CUDA") or is_off("USE_NCCL")):
        checkout_nccl(source)
    cmake = CMake(source)
    cmake.configure()
    if not cmake_only:
        cmake.build()
    return cmake.hip_version()
''',
    "tools/setup_helpers/__init__.py": "",
    "tools/setup_helpers/cmake.py": '''
"""Runs CMake: variables of the environment become its options."""

import os
import subprocess
import sys

PREFIXES = ("BUILD_", "USE_", "CMAKE_")
OTHERS = ("BLAS", "WITH_BLAS", "ATEN_THREADING", "PYTHON_LIB_REL_PATH")


class CMake:
    """The build folder, configured once."""

    def __init__(self, source):
        """Know the places."""
        self.source = source
        self.folder = source / "build"

    def options(self):
        """Return the options that stand in the environment."""
        return {
            name: text
            for name, text in sorted(os.environ.items())
            if name in OTHERS or name.startswith(PREFIXES)
        }

    def configure(self):
        """Configure, unless that was done before."""
        if (self.folder / "CMakeCache.txt").exists() and (self.folder / "build.ninja").exists():
            print("-- configured already", flush=True)
            return
        self.folder.mkdir(exist_ok=True)
        given = {
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_INSTALL_PREFIX": str(self.source / "torch"),
            "Python_EXECUTABLE": sys.executable,
            **self.options(),
        }
        words = [f"-D{name}={text}" for name, text in given.items()]
        subprocess.check_call(["cmake", "-GNinja", *words, str(self.source)], cwd=self.folder)

    def build(self):
        """Build and install into torch/."""
        jobs = os.environ.get("MAX_JOBS", "2")
        command = ["cmake", "--build", ".", "--target", "install", "-j", jobs]
        subprocess.check_call(command, cwd=self.folder)

    def hip_version(self):
        """Return the version of HIP that CMake found, or None."""
        place = self.folder / "hip_version.txt"
        return place.read_text().strip() if place.exists() else None
''',
    "tools/amd_build/build_amd.py": '''
"""Makes HIP sources of the CUDA sources, in the tree itself."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
sys.path.append(str(HERE / "torch" / "utils"))

from hipify import hipify_python  # noqa: E402

made = hipify_python.hipify(
    project_directory=str(HERE),
    output_directory=str(HERE),
    includes=["c10/cuda/*", "aten/src/ATen/native/cuda/*"],
)
print(f"{len(made)} sources made into HIP sources")
''',
    "cmake/External/aotriton.cmake": """
if(NOT __AOTRITON_INCLUDED)
  set(__AOTRITON_INCLUDED TRUE)
  set(__AOTRITON_VER "@AOTRITON@")

  if(DEFINED ENV{AOTRITON_INSTALLED_PREFIX})
    set(__AOTRITON_PREFIX "$ENV{AOTRITON_INSTALLED_PREFIX}")
    message(STATUS "AOTriton of ${__AOTRITON_PREFIX}")
  else()
    set(__AOTRITON_PREFIX "${CMAKE_BINARY_DIR}/aotriton")
    set(__AOTRITON_URL "https://github.com/ROCm/aotriton/releases/download/${__AOTRITON_VER}")
    message(STATUS "AOTriton is downloaded from ${__AOTRITON_URL}")
    file(DOWNLOAD "${__AOTRITON_URL}/aotriton-${__AOTRITON_VER}.tar.gz"
      "${CMAKE_BINARY_DIR}/aotriton.tar.gz" TIMEOUT 30 STATUS __AOTRITON_STATUS)
    list(GET __AOTRITON_STATUS 0 __AOTRITON_CODE)
    if(__AOTRITON_CODE)
      message(FATAL_ERROR "AOTriton cannot be downloaded: ${__AOTRITON_STATUS}")
    endif()
    file(ARCHIVE_EXTRACT INPUT "${CMAKE_BINARY_DIR}/aotriton.tar.gz"
      DESTINATION "${__AOTRITON_PREFIX}")
  endif()
  find_library(AOTRITON_LIBRARY aotriton_v2
    PATHS "${__AOTRITON_PREFIX}/lib" NO_DEFAULT_PATH REQUIRED)
  install(DIRECTORY "${__AOTRITON_PREFIX}/lib/" DESTINATION lib)
  install(DIRECTORY "${__AOTRITON_PREFIX}/include/" DESTINATION include)
endif()
""",
    "c10/cuda/CUDAStream.h": """
#pragma once
#include <cuda_runtime_api.h>
namespace c10::cuda {
int device_count() noexcept;
inline cudaStream_t default_stream() { return nullptr; }
}
""",
    "c10/cuda/CUDAFunctions.cpp": """
#include <c10/cuda/CUDAStream.h>
namespace c10::cuda {
int device_count() noexcept {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}
}
extern "C" int torch_device_count() { return c10::cuda::device_count(); }
""",
    "aten/src/ATen/native/cuda/Fill.cu": """
#include <cuda_runtime.h>
#include <c10/cuda/CUDAStream.h>
#if defined(USE_CK)
#include <ck/ck.hpp>
#endif

__global__ void fill_kernel(float* out, float value, int count) {
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at < count) out[at] = value;
}

#if defined(USE_CK)
__global__ void resource_kernel(int* out) { *out = CK_BUFFER_RESOURCE_3RD_DWORD; }
#endif

extern "C" int torch_fill(float* out, float value, int count) {
  if (c10::cuda::device_count() == 0) return 1;
  cudaStream_t stream = c10::cuda::default_stream();
  fill_kernel<<<(count + 255) / 256, 256, 0, stream>>>(out, value, count);
  return cudaGetLastError() == cudaSuccess ? 0 : 1;
}
""",
    "aten/src/ATen/Context.h": """
#pragma once
#include <string>
#include <vector>
namespace at {
const char* cpu_backend();
bool hipblaslt_serves(const std::vector<std::string>& present);
}
""",
    "torch/csrc/python.cpp": """
#include <ATen/Context.h>
int gloo_ranks();
int fbgemm_version();
extern "C" const char* torch_python_backend() { return at::cpu_backend(); }
#ifdef USE_GLOO
extern "C" int torch_python_ranks() { return gloo_ranks(); }
#else
extern "C" int torch_python_ranks() { return 0; }
#endif
""",
    "torch/csrc/stub.c": """
#include <Python.h>
const char* torch_python_backend(void);
int torch_python_ranks(void);

static PyObject* backend(PyObject* self, PyObject* nothing) {
  return PyUnicode_FromString(torch_python_backend());
}
static PyObject* ranks(PyObject* self, PyObject* nothing) {
  return PyLong_FromLong(torch_python_ranks());
}
static PyMethodDef methods[] = {
    {"_blas", backend, METH_NOARGS, "The BLAS of the CPU."},
    {"_gloo_ranks", ranks, METH_NOARGS, "How many ranks Gloo serves."},
    {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "torch._C", NULL, -1, methods};
PyMODINIT_FUNC PyInit__C(void) { return PyModule_Create(&module); }
""",
    "CMakeLists.txt": """
cmake_minimum_required(VERSION 3.27)
project(Torch LANGUAGES CXX C)
include(CMakeDependentOption)
option(BUILD_TEST "C++ tests" ON)
option(USE_CUDA "CUDA" ON)
option(USE_DISTRIBUTED "torch.distributed" ON)
option(USE_ITT "VTune's marks" ON)
option(USE_KINETO "the profiler" ON)
option(USE_MAGMA "MAGMA" ON)
option(USE_MKLDNN "oneDNN" ON)
option(USE_NUMA "libnuma" ON)
option(USE_ROCM "HIP" ON)
option(USE_XPU "GPUs of Intel's" ON)
@OPTIONS@
cmake_dependent_option(USE_FBGEMM_GENAI "kernels for one target" ON "USE_ROCM" OFF)
cmake_dependent_option(USE_GLOO "Gloo" ON "USE_DISTRIBUTED" OFF)
cmake_dependent_option(USE_MPI "MPI" ON "USE_DISTRIBUTED" OFF)
cmake_dependent_option(USE_TENSORPIPE "TensorPipe" ON "USE_DISTRIBUTED" OFF)
option(USE_NCCL "NCCL or RCCL" ON)
set(BLAS "MKL" CACHE STRING "the CPU's BLAS")
if(NOT BLAS STREQUAL "OpenBLAS" AND NOT BLAS STREQUAL "Eigen")
  message(FATAL_ERROR "there is no ${BLAS} in this system")
endif()
if(USE_CUDA)
  message(FATAL_ERROR "there is no CUDA in this system")
endif()
if(USE_XPU)
  execute_process(COMMAND git clone --depth 1 https://github.com/intel/torch-xpu-ops
    "${CMAKE_SOURCE_DIR}/third_party/torch-xpu-ops" COMMAND_ERROR_IS_FATAL ANY)
endif()
if(USE_MPI OR USE_TENSORPIPE OR USE_NUMA OR USE_MAGMA OR BUILD_TEST)
  message(FATAL_ERROR "MPI, TensorPipe, libnuma, MAGMA and tests are not here")
endif()
if(USE_ROCM)
  include(cmake/public/LoadHIP.cmake)
  if(NOT PYTORCH_FOUND_HIP)
    set(USE_ROCM OFF CACHE BOOL "HIP was not found" FORCE)
  endif()
endif()
if(USE_NCCL AND USE_ROCM)
  find_package(rccl REQUIRED)
endif()
# Both are without effect where there is no GPU's backend.
cmake_dependent_option(USE_FLASH_ATTENTION "attention of AOTriton" ON "USE_ROCM" OFF)
cmake_dependent_option(USE_MEM_EFF_ATTENTION "its second attention" ON "USE_ROCM" OFF)
if(USE_ROCM AND (USE_FLASH_ATTENTION OR USE_MEM_EFF_ATTENTION))
  include(cmake/External/aotriton.cmake)
endif()
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_INSTALL_RPATH "$ORIGIN")
add_subdirectory(third_party/fbgemm EXCLUDE_FROM_ALL)
if(USE_GLOO)
  add_subdirectory(third_party/gloo EXCLUDE_FROM_ALL)
endif()
add_subdirectory(caffe2)
""",
    "cmake/public/LoadHIP.cmake": """
# Finds HIP where ROCM_PATH says, and which GPUs are to be served.
set(PYTORCH_FOUND_HIP FALSE)
if(DEFINED ENV{ROCM_PATH})
  file(TO_CMAKE_PATH "$ENV{ROCM_PATH}" ROCM_PATH)
else()
  set(ROCM_PATH /opt/rocm)
endif()
if(DEFINED ENV{PYTORCH_ROCM_ARCH} AND NOT "$ENV{PYTORCH_ROCM_ARCH}" STREQUAL "")
  string(REPLACE " " ";" PYTORCH_ROCM_ARCH "$ENV{PYTORCH_ROCM_ARCH}")
else()
  set(PYTORCH_ROCM_ARCH gfx900 gfx906 gfx90a gfx942 gfx1030 gfx1100)
endif()
if(DEFINED ENV{HIP_CLANG_PATH})
  set(TORCH_HIP_CLANG "$ENV{HIP_CLANG_PATH}/clang++")
else()
  set(TORCH_HIP_CLANG "${ROCM_PATH}/lib/llvm/bin/clang++")
endif()
set(_header "${ROCM_PATH}/include/hip/hip_version.h")
if(EXISTS "${_header}" AND EXISTS "${TORCH_HIP_CLANG}")
  set(TORCH_HIP_VERSION "")
  foreach(_part MAJOR MINOR PATCH)
    file(STRINGS "${_header}" _line REGEX "#define HIP_VERSION_${_part} +[0-9]+")
    string(REGEX MATCH "[0-9]+" _number "${_line}")
    list(APPEND TORCH_HIP_VERSION "${_number}")
  endforeach()
  string(REPLACE ";" "." TORCH_HIP_VERSION "${TORCH_HIP_VERSION}")
  # Of ROCm as a whole, where it says it; HIP's own number else.
  set(TORCH_ROCM_VERSION "${TORCH_HIP_VERSION}")
  if(EXISTS "${ROCM_PATH}/.info/version")
    file(STRINGS "${ROCM_PATH}/.info/version" TORCH_ROCM_VERSION REGEX "[0-9]+[.][0-9]+[.][0-9]+")
    string(REGEX MATCH "[0-9]+[.][0-9]+[.][0-9]+" TORCH_ROCM_VERSION "${TORCH_ROCM_VERSION}")
  endif()
  string(REPLACE "." ";" _parts "${TORCH_ROCM_VERSION}")
  list(GET _parts 0 _major)
  list(GET _parts 1 _minor)
  list(GET _parts 2 _patch)
  if(_patch GREATER 99)
    set(_patch 0)
  endif()
  math(EXPR TORCH_ROCM_NUMBER "10000 * ${_major} + 100 * ${_minor} + ${_patch}")
  find_library(TORCH_HIP_RUNTIME amdhip64 HINTS "${ROCM_PATH}/lib" REQUIRED)
  set(PYTORCH_FOUND_HIP TRUE)
  message(STATUS "HIP ${TORCH_HIP_VERSION} of ${ROCM_PATH}, for ${PYTORCH_ROCM_ARCH}")
  find_package(hipblaslt CONFIG QUIET)
endif()
""",
    "cmake/TorchConfig.cmake.in": """
get_filename_component(TORCH_INSTALL_PREFIX "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
include("${CMAKE_CURRENT_LIST_DIR}/../Caffe2/public/LoadHIP.cmake")
if(NOT PYTORCH_FOUND_HIP)
  message(FATAL_ERROR "this PyTorch was built with ROCm, and there is none in ${ROCM_PATH}")
endif()
@HIP_FOUND@
set(TORCH_INCLUDE_DIRS "${TORCH_INSTALL_PREFIX}/include")
set(TORCH_LIBRARIES torch torch_hip)
foreach(_name torch torch_hip c10_hip torch_python)
  if(NOT TARGET ${_name})
    add_library(${_name} SHARED IMPORTED)
    set_target_properties(${_name} PROPERTIES
      IMPORTED_LOCATION "${TORCH_INSTALL_PREFIX}/lib/lib${_name}.so"
      INTERFACE_INCLUDE_DIRECTORIES "${TORCH_INCLUDE_DIRS}"
      INTERFACE_COMPILE_DEFINITIONS "USE_ROCM;__HIP_PLATFORM_AMD__=1")
  endif()
endforeach()
set(Torch_FOUND TRUE)
set(TORCH_FOUND TRUE)
""",
    "caffe2/CMakeLists.txt": """
file(GLOB cpu_files "${CMAKE_SOURCE_DIR}/aten/src/ATen/Context.cpp"
  "${CMAKE_SOURCE_DIR}/aten/src/ATen/cuda/detail/*.cpp")
add_library(torch SHARED ${cpu_files})
target_include_directories(torch PUBLIC "${CMAKE_SOURCE_DIR}" "${CMAKE_SOURCE_DIR}/aten/src")
target_compile_definitions(torch PRIVATE "TORCH_BLAS=\\"${BLAS}\\""
  "ROCM_VERSION=$<IF:$<BOOL:${USE_ROCM}>,${TORCH_ROCM_NUMBER},0>")
add_library(torch_python SHARED "${CMAKE_SOURCE_DIR}/torch/csrc/python.cpp")
target_link_libraries(torch_python PRIVATE torch fbgemm)
if(USE_GLOO)
  target_compile_definitions(torch_python PRIVATE USE_GLOO)
  target_link_libraries(torch_python PRIVATE gloo)
endif()
install(TARGETS torch torch_python LIBRARY DESTINATION lib)
install(FILES "${CMAKE_SOURCE_DIR}/aten/src/ATen/Context.h" DESTINATION include/ATen)

if(USE_ROCM)
  file(WRITE "${CMAKE_BINARY_DIR}/hip_version.txt" "${TORCH_HIP_VERSION}\\n")
  set(hip_flags -D__HIP_PLATFORM_AMD__=1 -DUSE_ROCM=1 -DROCM_VERSION=${TORCH_ROCM_NUMBER})
  add_library(c10_hip SHARED "${CMAKE_SOURCE_DIR}/c10/hip/HIPFunctions.cpp")
  target_compile_options(c10_hip PRIVATE ${hip_flags})
  target_include_directories(c10_hip PUBLIC "${CMAKE_SOURCE_DIR}" "${ROCM_PATH}/include")
  target_link_libraries(c10_hip PRIVATE "${TORCH_HIP_RUNTIME}")

  set(cpu_sources "${CMAKE_SOURCE_DIR}/aten/src/ATen/native/hip/Blas.cpp")
  set(gpu_sources "${CMAKE_SOURCE_DIR}/aten/src/ATen/native/hip/Fill.hip")
  set(hip_includes "${CMAKE_SOURCE_DIR}" "${CMAKE_SOURCE_DIR}/aten/src"
    "${CMAKE_SOURCE_DIR}/third_party/composable_kernel/include")
@TORCH_HIP@
  target_include_directories(torch_hip PRIVATE ${hip_includes})
  target_link_libraries(torch_hip PRIVATE c10_hip torch "${TORCH_HIP_RUNTIME}")
  if(AOTRITON_LIBRARY)
    target_link_libraries(torch_hip PRIVATE
      -Wl,--push-state,--no-as-needed "${AOTRITON_LIBRARY}" -Wl,--pop-state)
  endif()
  if(TARGET roc::hipblaslt)
    target_link_libraries(torch_hip PRIVATE
      -Wl,--push-state,--no-as-needed roc::hipblaslt -Wl,--pop-state)
  endif()
  install(TARGETS c10_hip torch_hip LIBRARY DESTINATION lib)
  install(FILES "${CMAKE_SOURCE_DIR}/c10/hip/HIPStream.h" DESTINATION include/c10/hip)
  install(FILES "${CMAKE_SOURCE_DIR}/cmake/public/LoadHIP.cmake"
    DESTINATION share/cmake/Caffe2/public)
  install(FILES "${CMAKE_SOURCE_DIR}/cmake/TorchConfig.cmake.in" RENAME TorchConfig.cmake
    DESTINATION share/cmake/Torch)
endif()
""",
}

# torch/utils/hipify and torch/utils/cpp_extension.py are what extensions import while they build.
PACKAGE = {
    "torch/__init__.py": '''
"""Just enough of torch to be imported, and to build extensions with."""

import ctypes
from pathlib import Path

from torch import _C, cuda, utils, version
from torch.version import __version__

hip_error = ""
"""Why the libraries for the GPU could not be loaded, or nothing."""
try:
    ctypes.CDLL(str(Path(__file__).parent / "lib" / "libtorch_hip.so"), ctypes.RTLD_GLOBAL)
except OSError as error:
    hip_error = str(error)

__all__ = ["_C", "__version__", "cuda", "hip_error", "utils", "version"]
''',
    "torch/cuda/__init__.py": '''
"""The GPUs, of which there may be none."""

import ctypes
from pathlib import Path


def device_count():
    """Return how many GPUs HIP sees."""
    try:
        library = ctypes.CDLL(str(Path(__file__).parents[1] / "lib" / "libc10_hip.so"))
    except OSError:
        return 0
    return library.torch_device_count()


def is_available():
    """Say whether there is a GPU."""
    return device_count() > 0


def get_device_name(device=0):
    """Return the name of a GPU."""
    if device >= device_count():
        raise RuntimeError("No HIP GPUs are available")
    return f"GPU {device}"
''',
    "torch/utils/__init__.py": '''
"""Where CMake finds torch."""

from pathlib import Path

cmake_prefix_path = str(Path(__file__).resolve().parents[1] / "share" / "cmake")
''',
    "torch/utils/hipify/__init__.py": '"""Makes HIP sources of CUDA sources."""\n',
    "torch/utils/hipify/hipify_python.py": '''
"""Makes HIP sources of CUDA sources: other names in the text, other names of files."""

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

SUFFIXES = (".cu", ".cuh", ".c", ".cc", ".cpp", ".h", ".hpp")
NAMES = (
    (r"<cuda_runtime\\.h>", "<hip/hip_runtime.h>"),
    (r"<cuda_runtime_api\\.h>", "<hip/hip_runtime_api.h>"),
    (r"\\bcublas", "hipblas"),
    (r"\\bcuda(?=[A-Z])", "hip"),
    (r"(?<=/)cuda/CUDA", "hip/HIP"),
    (r"\\b(?<=c10::)cuda\\b", "hip"),
)


@dataclass
class HipifyResult:
    """What became of one source."""

    current_state: str
    hipified_path: str | None
    status: str = ""


def rename(path, is_pytorch_extension=False):
    """Return where the HIP source of a CUDA source lies, relative to the same folder."""
    parts = ["hip" if part == "cuda" else part for part in Path(path).parts]
    name = parts[-1].replace("CUDA", "HIP")
    stem, suffix = Path(name).stem, Path(name).suffix
    name = stem + (".hip" if suffix == ".cu" else suffix)
    made = Path(*parts[:-1], name)
    if is_pytorch_extension and made == Path(path):
        made = made.with_name(f"{stem}_hip{made.suffix}")
    return made


def translate(text):
    """Return a CUDA text as a HIP text."""
    for pattern, name in NAMES:
        text = re.sub(pattern, name, text)
    return text


def hipify(
    project_directory,
    output_directory="",
    includes=("*",),
    extra_files=(),
    ignores=(),
    show_detailed=False,
    show_progress=True,
    is_pytorch_extension=False,
    hipify_extra_files_only=False,
    **other,
):
    """Make the HIP sources; return what became of each CUDA source, by its path."""
    project, output = Path(project_directory), Path(output_directory or project_directory)
    given = [project / one for one in extra_files]
    if not hipify_extra_files_only:
        given += sorted(path for path in project.rglob("*") if path.is_file())
    results = {}
    for path in given:
        here = path.relative_to(project)
        names = (str(here), str(path))
        if path.suffix not in SUFFIXES or any(fnmatch(n, i) for n in names for i in ignores):
            continue
        if path not in given[: len(extra_files)] and not any(
            fnmatch(n, i) for n in names for i in includes
        ):
            continue
        text = path.read_text(encoding="utf-8")
        other_text = translate(text)
        made = rename(here, is_pytorch_extension)
        target = output / made
        if other_text == text and path.suffix != ".cu" and made.parent == here.parent:
            results[str(path)] = HipifyResult("done", str(path), "[skipped, no changes]")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(other_text, encoding="utf-8")
        results[str(path)] = HipifyResult("done", str(target), "[ok]")
        if show_detailed:
            print(f"{path} -> {target}")
    return results
''',
    "torch/utils/cpp_extension.py": '''
"""Builds extensions: HIP sources with hipcc for the targets of PYTORCH_ROCM_ARCH."""

import os
import subprocess
from pathlib import Path

import torch
from setuptools import Extension
from setuptools.command.build_ext import build_ext

COMMON_HIP_FLAGS = ["-fPIC", "-D__HIP_PLATFORM_AMD__=1", "-DUSE_ROCM=1"]
COMMON_HIPCC_FLAGS = ["-DCUDA_HAS_FP16=1", "-D__HIP_NO_HALF_OPERATORS__=1"]
CUDA_HOME = None
ROCM_HOME = os.environ.get("ROCM_HOME") or os.environ.get("ROCM_PATH")
IS_HIP_EXTENSION = bool(ROCM_HOME and torch.version.hip)
TORCH = Path(torch.__file__).resolve().parent

if IS_HIP_EXTENSION and torch.hip_error:
    raise ImportError(f"torch's libraries for the GPU cannot be loaded: {torch.hip_error}")


def include_paths(device_type="cpu"):
    """Return the folders with headers."""
    rocm = [str(Path(ROCM_HOME) / "include")] if device_type == "cuda" and ROCM_HOME else []
    return [str(TORCH / "include"), *rocm]


def CppExtension(name, sources, **more):
    """Return an extension for the CPU."""
    return _extension(name, sources, [], **more)


def CUDAExtension(name, sources, **more):
    """Return an extension for the GPU."""
    if not IS_HIP_EXTENSION:
        raise OSError("CUDA_HOME is not set, and this is no ROCm")
    return _extension(name, sources, ["torch_hip", "c10_hip", "amdhip64"], **more)


def _extension(name, sources, libraries, **more):
    made = Extension(name, sources, **more)
    made.include_dirs += include_paths("cuda" if libraries else "cpu")
    made.library_dirs += [str(TORCH / "lib"), *([f"{ROCM_HOME}/lib"] if libraries else [])]
    made.libraries += ["torch", *libraries]
    return made


def arch_flags():
    """Return one --offload-arch for each target that is asked for."""
    asked = os.environ.get("PYTORCH_ROCM_ARCH") or "gfx900;gfx90a;gfx942;gfx1030;gfx1100"
    return [f"--offload-arch={one}" for one in asked.replace(" ", ";").split(";") if one]


class BuildExtension(build_ext):
    """Compiles .hip sources with hipcc, all else as setuptools does."""

    suffix_wanted = True

    @classmethod
    def with_options(cls, no_python_abi_suffix=False, **other):
        """Return this class with other options."""
        return type(cls.__name__, (cls,), {"suffix_wanted": not no_python_abi_suffix})

    def build_extension(self, ext):
        """Compile the HIP sources first, then link their objects with the others."""
        hip = [one for one in ext.sources if one.endswith(".hip")]
        ext.sources = [one for one in ext.sources if one not in hip]
        ext.extra_compile_args = [*ext.extra_compile_args, *(COMMON_HIP_FLAGS if hip else [])]
        for source in hip:
            made = Path(self.build_temp, source).with_suffix(".o")
            made.parent.mkdir(parents=True, exist_ok=True)
            includes = [f"-I{one}" for one in ext.include_dirs]
            command = [
                f"{ROCM_HOME}/bin/hipcc", "-x", "hip", *arch_flags(), "-O3", "-std=c++17",
                *COMMON_HIP_FLAGS, *COMMON_HIPCC_FLAGS, *includes, "-c", source, "-o", str(made),
            ]
            print(" ".join(command), flush=True)
            subprocess.check_call(command)
            ext.extra_objects.append(str(made))
        super().build_extension(ext)

    def get_ext_filename(self, name):
        """Return the file name, without Python's ABI where that is asked for."""
        usual = super().get_ext_filename(name)
        return usual if self.suffix_wanted else usual.split(".")[0] + ".so"
''',
}

NEW_OPTIONS = """option(USE_ROCM_CK_GEMM "CK's matrix products" ON)
option(USE_ROCM_CK_SDPA "CK's attention" ON)"""

OLD_TORCH_HIP = """  # One script for each object, as FindHIP.cmake does it; CK is part of it.
  set(hip_objects "")
  foreach(source ${gpu_sources})
    get_filename_component(name "${source}" NAME)
    set(place "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/torch_hip.dir/__/aten/src/ATen/native/hip")
    set(object "${place}/torch_hip_generated_${name}.o")
    set(command "${TORCH_HIP_CLANG}" -x hip "--rocm-path=${ROCM_PATH}" -c -O3 -std=c++17 -fPIC
      ${hip_flags} -DUSE_CK=1)
    foreach(arch ${PYTORCH_ROCM_ARCH})
      list(APPEND command "--offload-arch=${arch}")
    endforeach()
    foreach(folder ${hip_includes})
      list(APPEND command "-I${folder}")
    endforeach()
    list(JOIN command "\\"\\n  \\"" words)
    file(WRITE "${object}.cmake" "execute_process(COMMAND\\n  \\"${words}\\"\\n  \\"${source}\\"\\n"
      "  -o \\"${object}\\" COMMAND_ERROR_IS_FATAL ANY)\\n")
    add_custom_command(OUTPUT "${object}" COMMAND "${CMAKE_COMMAND}" -P "${object}.cmake"
      DEPENDS "${source}" "${object}.cmake")
    list(APPEND hip_objects "${object}")
  endforeach()
  set_source_files_properties(${hip_objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  add_library(torch_hip SHARED ${cpu_sources} ${hip_objects})
  target_compile_options(torch_hip PRIVATE ${hip_flags})"""

NEW_TORCH_HIP = """  set(CMAKE_HIP_COMPILER "${TORCH_HIP_CLANG}")
  set(CMAKE_HIP_COMPILER_ROCM_ROOT "${ROCM_PATH}")
  set(CMAKE_HIP_PLATFORM amd)
  set(CMAKE_HIP_ARCHITECTURES "${PYTORCH_ROCM_ARCH}")
  set(CMAKE_HIP_STANDARD 17)
  enable_language(HIP)
  set_source_files_properties(${gpu_sources} PROPERTIES LANGUAGE HIP)
  add_library(torch_hip SHARED ${cpu_sources} ${gpu_sources})
  set_target_properties(torch_hip PROPERTIES HIP_ARCHITECTURES "${PYTORCH_ROCM_ARCH}")
  target_compile_options(torch_hip PRIVATE ${hip_flags})
  if(USE_ROCM_CK_GEMM OR USE_ROCM_CK_SDPA)
    target_compile_definitions(torch_hip PRIVATE USE_CK=1)
  endif()"""

OLD = {
    "CMakeLists.txt": COMMON["CMakeLists.txt"].replace("@OPTIONS@\n", ""),
    "caffe2/CMakeLists.txt": COMMON["caffe2/CMakeLists.txt"].replace("@TORCH_HIP@", OLD_TORCH_HIP),
    "cmake/TorchConfig.cmake.in": COMMON["cmake/TorchConfig.cmake.in"].replace(
        "@HIP_FOUND@", "set(HIP_FOUND TRUE)"
    ),
    # The lists stand at the lines that the patches of the recipe name.
    "aten/src/ATen/Context.cpp": at_lines(
        (
            (
                1,
                """
#include <ATen/Context.h>
namespace at {
const char* cpu_backend() { return TORCH_BLAS; }
static bool is_one_of(const std::string& name, const std::vector<std::string>& archs) {
  for (const std::string& arch : archs) {
    if (name.rfind(arch, 0) == 0) return true;
  }
  return false;
}
""",
            ),
            (
                437,
                """
bool hipblaslt_preferred(const std::string& name) {
  static const bool hipblaslt_preferred = [&] {
      static const std::vector<std::string> archs = {
          "gfx90a", "gfx942",
#if ROCM_VERSION >= 60400
          "gfx1200", "gfx1201",
#endif
      };
      return is_one_of(name, archs);
  }();
  return hipblaslt_preferred;
}
""",
            ),
            (
                467,
                """
bool hipblaslt_serves(const std::vector<std::string>& present) {
  static const bool hipblaslt_unsupported = [&] {
      static const std::vector<std::string> archs = {
          "gfx90a", "gfx942",
#if ROCM_VERSION >= 60300
          "gfx1100", "gfx1101", "gfx1200", "gfx1201", "gfx908",
#endif
      };
      for (const std::string& name : present) {
        if (!is_one_of(name, archs)) return true;
      }
      return false;
  }();
  return !hipblaslt_unsupported;
}
}
""",
            ),
        ),
        comment="//",
    ),
    "aten/src/ATen/native/cuda/Blas.cpp": at_lines(
        (
            (
                1,
                """
#include <string>
#include <vector>
namespace at::native {
""",
            ),
            (
                260,
                """
bool isSupportedHipLtROCmArch(const std::string& name) {
    static const std::vector<std::string> archs = {
        "gfx90a", "gfx942",
#if ROCM_VERSION >= 60300
        "gfx1100", "gfx1101", "gfx1200", "gfx1201",
#endif
    };
    for (const std::string& arch : archs) {
        if (name.rfind(arch, 0) == 0) return true;
    }
    return false;
}
const char* cublas_name() { return isSupportedHipLtROCmArch("gfx1151") ? "lt" : "plain"; }
}
""",
            ),
        ),
        comment="//",
    ),
}

NEW = {
    "CMakeLists.txt": COMMON["CMakeLists.txt"].replace("@OPTIONS@", NEW_OPTIONS),
    "caffe2/CMakeLists.txt": COMMON["caffe2/CMakeLists.txt"].replace("@TORCH_HIP@", NEW_TORCH_HIP),
    "cmake/TorchConfig.cmake.in": COMMON["cmake/TorchConfig.cmake.in"].replace(
        "@HIP_FOUND@", 'set(CMAKE_HIP_COMPILER "${TORCH_HIP_CLANG}")'
    ),
    "aten/src/ATen/Context.cpp": """
#include <ATen/Context.h>
#include <ATen/cuda/detail/CUDAHooks.h>
namespace at {
const char* cpu_backend() { return TORCH_BLAS; }
bool hipblaslt_serves(const std::vector<std::string>& present) {
  const cuda::detail::CUDAHooks hooks;
  for (const std::string& one : present) {
    bool known = false;
    for (const std::string& arch : hooks.getHipblasltSupportedArchs()) known = known || one == arch;
    if (!known) return false;
  }
  return true;
}
}
""",
    "aten/src/ATen/cuda/detail/CUDAHooks.h": """
#pragma once
#include <string>
#include <vector>
namespace at::cuda::detail {
struct CUDAHooks {
  const std::vector<std::string>& getHipblasltSupportedArchs() const;
};
}
""",
    "aten/src/ATen/cuda/detail/CUDAHooks.cpp": """
#include <ATen/cuda/detail/CUDAHooks.h>
namespace at::cuda::detail {
const std::vector<std::string>& CUDAHooks::getHipblasltSupportedArchs() const {
  static const std::vector<std::string> archs = {"gfx90a", "gfx942", "gfx1100", "gfx1151"};
  return archs;
}
}
""",
    "aten/src/ATen/native/cuda/Blas.cpp": """
namespace at::native {
const char* cublas_name() { return "lt"; }
}
""",
}
