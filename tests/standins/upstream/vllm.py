"""A stand-in for vLLM: setup.py drives CMake, for the targets that its list knows."""

from pathlib import Path

from tests.standins.upstream.files import at_lines, write_files

OLD_ARCHS = "gfx906;gfx908;gfx90a;gfx942;gfx950;gfx1030;gfx1100;gfx1101;gfx1200;gfx1201"
NEW_ARCHS = "gfx906;gfx908;gfx90a;gfx942;gfx950;gfx1030;gfx1100;gfx1101;gfx1150;gfx1151;gfx1200"
TRITON = "669b31acc1dd1b3fd93286afd5db67f65d9f7557"
"""The commit of ROCm's Triton that 0.33.0 names."""


def write(folder: Path, version: str) -> None:
    """Write the source tree of a version."""
    trees = {"0.11.0": old, "0.33.0": new}
    write_files(folder, COMMON | trees[version]())


def old() -> dict[str, str]:
    """Return the files of 0.11.0, where its patches expect their lines."""
    cmake = at_lines(
        (
            (1, CMAKE_HEAD),
            (39, f'# Supported AMD GPU architectures.\nset(HIP_SUPPORTED_ARCHS "{OLD_ARCHS}")\n\n'),
            (0, CMAKE_BODY.replace("@TORCH@", "2.8.0").replace("@FOUND@", "HIP_FOUND")),
            (0, OLD_EXTENSIONS),
        )
    )
    attention = at_lines(
        (
            (1, "#include <cuda_runtime.h>\n#include <cassert>"),
            (41, "using attention_t = float;\n\n" + OLD_CONDITION),
            (0, "  #define __HIP__GFX11__\n#endif"),
            (0, ATTENTION),
        ),
        comment="//",
    )
    setup = at_lines(
        (
            (1, SETUP_HEAD.replace("@SUFFIX@", "hip[:5].replace('.', '')[:3]")),
            (100, SETUP_CMAKE),
            (206, OLD_SETUP_CALL),
            (0, SETUP_TAIL.replace("@RUST@\n", "").replace("@EXTENSIONS@", OLD_NAMES)),
        )
    )
    platforms = at_lines(
        ((1, OLD_PLATFORMS), (102, OLD_PLUGIN), (121, OLD_RETURN), (0, PLATFORMS_TAIL))
    )
    rocm = at_lines(
        ((1, ROCM_HEAD), (24, OLD_IMPORT), (0, ROCM_CONTEXT), (280, ROCM_CLASS), (299, ROCM_NAME))
    )
    return {
        "CMakeLists.txt": cmake,
        "csrc/rocm/attention.cu": attention,
        "csrc/cache_kernels.cu": kernel("cache"),
        "csrc/moe/topk_kernels.cu": kernel("topk"),
        "setup.py": setup,
        "pyproject.toml": OLD_PYPROJECT,
        "requirements/rocm.txt": OLD_REQUIREMENTS,
        "vllm/platforms/__init__.py": platforms,
        "vllm/platforms/rocm.py": rocm,
    }


def new() -> dict[str, str]:
    """Return the files of 0.33.0, where its patches expect their lines."""
    cmake = at_lines(
        (
            (1, CMAKE_HEAD),
            (0, f'# Supported AMD GPU architectures.\nset(HIP_SUPPORTED_ARCHS "{NEW_ARCHS}")\n\n'),
            (0, CMAKE_BODY.replace("@TORCH@", "2.14.0").replace("@FOUND@", "PYTORCH_FOUND_HIP")),
            (0, NEW_EXTENSIONS),
        )
    )
    setup = at_lines(
        (
            (1, SETUP_HEAD.replace("@SUFFIX@", "''.join(hip.split('.')[:2])")),
            (0, SETUP_CMAKE),
            (0, NEW_SETUP_CALL),
            (0, SETUP_TAIL.replace("@RUST@", RUST).replace("@EXTENSIONS@", NEW_NAMES)),
        )
    )
    platforms = at_lines(
        ((1, NEW_PLATFORMS), (108, NEW_PLUGIN), (125, NEW_RETURN), (0, PLATFORMS_TAIL))
    )
    rocm = at_lines(
        ((1, ROCM_HEAD), (45, NEW_IMPORT), (0, ROCM_CONTEXT), (1043, ROCM_CLASS), (1062, ROCM_NAME))
    )
    return {
        "CMakeLists.txt": cmake,
        "csrc/rocm/attention.cu": '#include "attention_kernels.cuh"\n',
        "csrc/rocm/attention_kernels.cuh": f"""
#pragma once
#include <cuda_runtime.h>
#include <cassert>
#if defined(__HIPCC__) && defined(__GFX11__)
#define __HIP__GFX11__
#endif
{ATTENTION}""",
        "csrc/cache_kernels.cu": kernel("cache"),
        "csrc/libtorch_stable/norm_kernels.cu": kernel("norm"),
        "csrc/libtorch_stable/moe/topk_kernels.cu": kernel("topk"),
        "csrc/cumem_allocator.cpp": CUMEM,
        "csrc/fs_io.cpp": 'extern "C" int fs_io_blocks(int n) { return (n + 4095) / 4096; }\n',
        "csrc/spinloop.cpp": 'extern "C" void spin(int n) { while (n-- > 0) asm volatile(""); }\n',
        "cmake/external_projects/triton_kernels.cmake": TRITON_KERNELS,
        "setup.py": setup,
        "pyproject.toml": NEW_PYPROJECT,
        "requirements/rocm.txt": NEW_REQUIREMENTS,
        "rust/Cargo.toml": '[package]\nname = "vllm-rs"\nversion = "0.0.0"\nedition = "2021"\n',
        "rust/src/main.rs": 'fn main() { println!("a second front end"); }\n',
        "vllm/platforms/__init__.py": platforms,
        "vllm/platforms/rocm.py": rocm,
    }


def kernel(name: str) -> str:
    """Return a source with one kernel."""
    return f"""
#include <cuda_runtime.h>

__global__ void {name}_kernel(float* values, int count) {{
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at < count) values[at] *= 2.0f;
}}

extern "C" int {name}_run(float* values, int count, cudaStream_t stream) {{
  {name}_kernel<<<(count + 255) / 256, 256, 0, stream>>>(values, count);
  return cudaGetLastError() == cudaSuccess ? 0 : 1;
}}
"""


OLD_CONDITION = "#if defined(__HIPCC__) && (defined(__gfx1100__) || defined(__gfx1101__))"

ATTENTION = """
// The same name either way: what is not for the target is a stub that stops.
__global__ void paged_attention_kernel(float* out, const float* query, int count) {
#if defined(__HIP__GFX11__)
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at < count) out[at] = query[at] * 0.5f;
#else
  assert(false && "no attention for this target");
#endif
}

extern "C" int paged_attention(float* out, const float* query, int count, cudaStream_t stream) {
  paged_attention_kernel<<<(count + 255) / 256, 256, 0, stream>>>(out, query, count);
  return cudaGetLastError() == cudaSuccess ? 0 : 1;
}
"""

CUMEM = """
#define __HIP_PLATFORM_AMD__ 1
#include <hip/hip_runtime_api.h>
extern "C" int cumem_free(void* memory) { return hipFree(memory) == hipSuccess ? 0 : 1; }
"""

CMAKE_HEAD = """
cmake_minimum_required(VERSION 3.26)
project(vllm_extensions LANGUAGES CXX)
set(VLLM_TARGET_DEVICE "cuda" CACHE STRING "cuda, rocm, cpu or empty")
message(STATUS "Target device: ${VLLM_TARGET_DEVICE}")
include(cmake/utils.cmake)
"""

CMAKE_BODY = """
set(TORCH_SUPPORTED_VERSION_ROCM "@TORCH@")

if(NOT VLLM_PYTHON_EXECUTABLE)
  message(FATAL_ERROR "VLLM_PYTHON_EXECUTABLE must name the Python to build for")
endif()
set(Python_EXECUTABLE "${VLLM_PYTHON_EXECUTABLE}")
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module Development.SABIModule)

# PyTorch says itself where its CMake package is.
ask_python(torch_prefix "import torch; print(torch.utils.cmake_prefix_path)")
list(APPEND CMAKE_PREFIX_PATH "${torch_prefix}")
if(DEFINED ENV{ROCM_HOME} AND NOT ROCM_PATH)
  set(ROCM_PATH "$ENV{ROCM_HOME}")
endif()
find_package(Torch REQUIRED)

if(NOT VLLM_TARGET_DEVICE STREQUAL "rocm" OR NOT @FOUND@)
  message(FATAL_ERROR "Can't find CUDA or HIP installation.")
endif()
set(VLLM_GPU_LANG "HIP")
enable_language(HIP)
ask_python(torch_version "import torch; print(torch.__version__.split('+')[0])")
if(NOT torch_version VERSION_EQUAL TORCH_SUPPORTED_VERSION_ROCM)
  message(WARNING "PyTorch ${TORCH_SUPPORTED_VERSION_ROCM} expected, and ${torch_version} found")
endif()

keep_supported(VLLM_GPU_ARCHES "${HIP_SUPPORTED_ARCHS}")
message(STATUS "HIP target architectures: ${VLLM_GPU_ARCHES}")
ask_python(VLLM_GPU_FLAGS "import torch.utils.cpp_extension as t
print(';'.join(t.COMMON_HIP_FLAGS + t.COMMON_HIPCC_FLAGS))")
find_library(VLLM_HIP_RUNTIME amdhip64 HINTS "${ROCM_PATH}/lib" REQUIRED)
"""

CUDA_PROJECTS = """
if (VLLM_GPU_LANG STREQUAL "CUDA")
  include(cmake/external_projects/flashmla.cmake)
  include(cmake/external_projects/vllm_flash_attn.cmake)
endif()
"""

OLD_EXTENSIONS = (
    """
hip_extension(_C csrc/cache_kernels.cu)
hip_extension(_moe_C csrc/moe/topk_kernels.cu)
hip_extension(_rocm_C csrc/rocm/attention.cu)
"""
    + CUDA_PROJECTS
)

NEW_EXTENSIONS = (
    """
hip_extension(_C csrc/cache_kernels.cu)
hip_extension(_rocm_C csrc/rocm/attention.cu)
hip_extension(_C_stable_libtorch csrc/libtorch_stable/norm_kernels.cu)
hip_extension(_moe_C_stable_libtorch csrc/libtorch_stable/moe/topk_kernels.cu)
cpu_extension(cumem_allocator csrc/cumem_allocator.cpp)
target_include_directories(cumem_allocator PRIVATE "${ROCM_PATH}/include")
target_link_libraries(cumem_allocator PRIVATE "${VLLM_HIP_RUNTIME}")
cpu_extension(fs_io_C csrc/fs_io.cpp)
cpu_extension(spinloop csrc/spinloop.cpp)
include(cmake/external_projects/triton_kernels.cmake)
"""
    + CUDA_PROJECTS
)

CLONE = """
include(FetchContent)
FetchContent_Declare(@NAME@ GIT_REPOSITORY "@URL@" GIT_TAG "@TAG@" GIT_PROGRESS TRUE)
FetchContent_MakeAvailable(@NAME@)
"""


def clone(name: str, url: str, tag: str) -> str:
    """Return a CMake file that clones a repository while it configures."""
    return CLONE.replace("@NAME@", name).replace("@URL@", url).replace("@TAG@", tag)


TRITON_KERNELS = f"""
if (DEFINED ENV{{TRITON_KERNELS_SRC_DIR}})
  set(triton_kernels_folder "$ENV{{TRITON_KERNELS_SRC_DIR}}")
  message(STATUS "triton_kernels of ${{triton_kernels_folder}}")
else()
  set(TRITON_KERNELS_TAG "{TRITON}")
  include(FetchContent)
  FetchContent_Declare(triton_kernels GIT_REPOSITORY "https://github.com/ROCm/triton.git"
    GIT_TAG "${{TRITON_KERNELS_TAG}}" SOURCE_SUBDIR python/triton_kernels/triton_kernels)
  FetchContent_MakeAvailable(triton_kernels)
  set(triton_kernels_folder "${{triton_kernels_SOURCE_DIR}}/python/triton_kernels/triton_kernels")
endif()
add_custom_target(triton_kernels)
install(DIRECTORY "${{triton_kernels_folder}}/" DESTINATION vllm/third_party/triton_kernels
  COMPONENT triton_kernels FILES_MATCHING PATTERN "*.py")
"""

SETUP_HEAD = '''
"""Builds vLLM: CMake makes the extensions, setuptools the wheel."""

import ctypes
import importlib.metadata
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import torch
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools_scm import get_version
from torch.utils.cpp_extension import CUDA_HOME, ROCM_HOME

HERE = Path(__file__).resolve().parent
VLLM_TARGET_DEVICE = os.environ.get("VLLM_TARGET_DEVICE", "cuda")


def _is_cuda():
    return VLLM_TARGET_DEVICE == "cuda" and torch.version.cuda is not None


def _is_hip():
    return VLLM_TARGET_DEVICE in ("cuda", "rocm") and torch.version.hip is not None


def rocm_version():
    """Return the release of ROCm that its own library names, else HIP's version."""
    place = Path(ROCM_HOME or "", "lib", "librocm-core.so")
    if place.is_file():
        numbers = [ctypes.c_uint32() for _ in range(3)]
        get = ctypes.CDLL(str(place)).getROCmVersion
        if get(*map(ctypes.byref, numbers)) == 0:
            return ".".join(str(one.value) for one in numbers)
    return torch.version.hip


def vllm_version():
    """Return the version, with ROCm's behind it."""
    version = get_version(root=str(HERE))
    if not _is_hip():
        raise RuntimeError("there is no HIP: neither VLLM_TARGET_DEVICE nor PyTorch says so")
    hip = rocm_version()
    return f"{version}{'+' if '+' not in version else '.'}rocm{@SUFFIX@}"


def launcher():
    """Return the compiler cache that is found, unless it is switched off."""
    if os.environ.get("VLLM_DISABLE_SCCACHE", "0") not in ("1", "true"):
        if shutil.which("sccache"):
            return "sccache"
    return "ccache" if shutil.which("ccache") else None


if os.environ.get("VLLM_USE_PRECOMPILED", "0") in ("1", "true"):
    base = "https://github.com/vllm-project/vllm/releases/download"
    name = "vllm-1.0.0.dev-cp38-abi3-manylinux1_x86_64.whl"
    urllib.request.urlretrieve(f"{base}/nightly/{name}", str(HERE / name))
'''

SETUP_CMAKE = '''
class CMakeExtension(Extension):
    """One target of CMakeLists.txt."""

    def __init__(self, name):
        """Name it; it has no sources for setuptools."""
        super().__init__(name, sources=[], py_limited_api=True)


class cmake_build_ext(build_ext):
    """Builds all extensions with one run of CMake."""

    def configure(self):
        """Run CMake with options of its own, then those of CMAKE_ARGS."""
        build_type = os.environ.get("CMAKE_BUILD_TYPE") or "RelWithDebInfo"
        cmake_args = [
            f"-DCMAKE_BUILD_TYPE={build_type}",
            f"-DVLLM_TARGET_DEVICE={VLLM_TARGET_DEVICE}",
            f"-DVLLM_PYTHON_EXECUTABLE={sys.executable}",
        ]
        if found := launcher():
            cmake_args += [f"-DCMAKE_{one}_COMPILER_LAUNCHER={found}" for one in ("CXX", "HIP")]
'''

OLD_SETUP_CALL = """
        if _is_cuda():
            cmake_args += [f'-DCMAKE_CUDA_COMPILER={CUDA_HOME}/bin/nvcc']
        subprocess.check_call(
            ['cmake', str(HERE), '-G', 'Ninja', *cmake_args],
            cwd=self.build_temp)
"""

NEW_SETUP_CALL = """
        if _is_cuda():
            cmake_args += [f"-DCMAKE_CUDA_COMPILER={CUDA_HOME}/bin/nvcc"]
        elif _is_hip():
            cmake_args += [f"-DROCM_PATH={ROCM_HOME}"]
        other_cmake_args = os.environ.get("CMAKE_ARGS")
        if other_cmake_args:
            cmake_args += other_cmake_args.split()
        subprocess.check_call(
            ["cmake", str(HERE), "-G", "Ninja", *cmake_args], cwd=self.build_temp
        )
"""

SETUP_TAIL = '''
    def build_extensions(self):
        """Configure, build all targets, and install each where the wheel wants it."""
        os.makedirs(self.build_temp, exist_ok=True)
        self.configure()
        names = [one.name.removeprefix("vllm.") for one in self.extensions]
        targets = [f"--target={name}" for name in names]
        jobs = f"-j={os.environ.get('MAX_JOBS', '2')}"
        subprocess.check_call(["cmake", "--build", ".", jobs, *targets], cwd=self.build_temp)
        prefix = Path(self.build_lib).resolve()
        for name in names:
            subprocess.check_call(
                ["cmake", "--install", ".", "--prefix", str(prefix), "--component", name],
                cwd=self.build_temp,
            )


EXTENSIONS = @EXTENSIONS@
more = {}
@RUST@
setup(
    version=vllm_version(),
    packages=find_packages(include=["vllm", "vllm.*"]),
    ext_modules=[CMakeExtension(f"vllm.{name}") for name in EXTENSIONS],
    cmdclass={"build_ext": cmake_build_ext},
    install_requires=(HERE / "requirements" / "rocm.txt").read_text().splitlines(),
    **more,
)
'''

OLD_NAMES = '["_C", "_moe_C", "_rocm_C"]'
NEW_NAMES = """[
    "_C", "_rocm_C", "_C_stable_libtorch", "_moe_C_stable_libtorch",
    "cumem_allocator", "fs_io_C", "spinloop", "triton_kernels",
]"""

RUST = '''
from setuptools_rust import Binding, RustExtension


def should_require_rust_frontend():
    """Say whether the build must fail without the second front end."""
    return os.environ.get("VLLM_REQUIRE_RUST_FRONTEND", "0") in ("1", "true")


more["rust_extensions"] = [
    RustExtension(
        "vllm.vllm-rs",
        path="rust/Cargo.toml",
        binding=Binding.Exec,
        optional=not should_require_rust_frontend(),
    )
]
'''

OLD_PYPROJECT = """
[build-system]
requires = [
    "cmake>=3.26.1",
    "ninja",
    "packaging>=24.2",
    "setuptools>=77.0.3,<80.0.0",
    "jinja2",
    "setuptools-scm>=8.0",
    "torch == 2.8.0",
    "wheel",
]
build-backend = "setuptools.build_meta"

[project]
name = "vllm"
requires-python = ">=3.9"
license = { text = "Apache-2.0" }
dynamic = ["version", "dependencies"]

[project.scripts]
vllm = "vllm.entrypoints.cli.main:main"
"""

NEW_PYPROJECT = OLD_PYPROJECT.replace(
    '    "torch == 2.8.0",\n', '    "setuptools-rust>=1.9.0",\n    "torch == 2.14.0",\n'
).replace('"setuptools>=77.0.3,<80.0.0"', '"setuptools>=78.1.1,<81.0.0"')

# A few of each version's, those among them that the recipe leaves out.
OLD_REQUIREMENTS = """
packaging>=24.2
msgspec
ray[cgraph]>=2.48.0
importlib_metadata; python_version < "3.10"
pytest-asyncio
setuptools-scm>=8
"""

NEW_REQUIREMENTS = """
packaging>=24.2
msgspec
fastsafetensors>=0.1.10
pytest-asyncio
setuptools-scm>=8
tilelang==0.1.9; platform_machine == "x86_64"
"""

COMMON = {
    "cmake/utils.cmake": """
# Runs a line of Python, the one that is built for.
function(ask_python out text)
  execute_process(COMMAND "${VLLM_PYTHON_EXECUTABLE}" -c "${text}" OUTPUT_VARIABLE said
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${out} "${said}" PARENT_SCOPE)
endfunction()

# What PYTORCH_ROCM_ARCH asks for and the list has; the rest is left out.
function(keep_supported out supported)
  string(REPLACE " " ";" asked "$ENV{PYTORCH_ROCM_ARCH}")
  if(NOT asked)
    set(asked ${supported})
  endif()
  set(kept "")
  foreach(arch ${asked})
    if(arch IN_LIST supported)
      list(APPEND kept "${arch}")
    endif()
  endforeach()
  if(NOT kept)
    message(FATAL_ERROR "None of the detected ROCm architectures: ${asked} is supported")
  endif()
  set(${out} "${kept}" PARENT_SCOPE)
endfunction()

# A module for every Python 3, with the names that Python looks for.
function(_module name)
  set(entry "${CMAKE_CURRENT_BINARY_DIR}/${name}_module.cpp")
  configure_file("${CMAKE_SOURCE_DIR}/csrc/module.cpp.in" "${entry}" @ONLY)
  Python_add_library(${name} MODULE USE_SABI 3 WITH_SOABI "${entry}" ${ARGN})
  set_target_properties(${name} PROPERTIES CXX_STANDARD 17 HIP_STANDARD 17)
  install(TARGETS ${name} LIBRARY DESTINATION vllm COMPONENT ${name})
endfunction()

function(cpu_extension name)
  _module(${name} ${ARGN})
endfunction()

# The CUDA sources become HIP sources when they are built, and HIP compiles them.
function(hip_extension name)
  set(made "")
  foreach(source ${ARGN})
    string(REGEX REPLACE "[.]cu$" ".hip" target "${CMAKE_CURRENT_BINARY_DIR}/${source}")
    list(APPEND made "${target}")
  endforeach()
  list(TRANSFORM ARGN PREPEND "${CMAKE_SOURCE_DIR}/" OUTPUT_VARIABLE sources)
  add_custom_command(OUTPUT ${made} DEPENDS ${sources} VERBATIM
    COMMAND "${VLLM_PYTHON_EXECUTABLE}" "${CMAKE_SOURCE_DIR}/cmake/hipify.py"
      "${CMAKE_SOURCE_DIR}/csrc" "${CMAKE_CURRENT_BINARY_DIR}/csrc" ${sources})
  set_source_files_properties(${made} PROPERTIES LANGUAGE HIP)
  _module(${name} ${made})
  set_target_properties(${name} PROPERTIES HIP_ARCHITECTURES "${VLLM_GPU_ARCHES}")
  target_compile_options(${name} PRIVATE "$<$<COMPILE_LANGUAGE:HIP>:${VLLM_GPU_FLAGS}>")
  target_link_libraries(${name} PRIVATE ${TORCH_LIBRARIES} "${VLLM_HIP_RUNTIME}")
endfunction()
""",
    "cmake/hipify.py": '''
"""Makes HIP sources of CUDA sources: hipify.py FOLDER OUTPUT SOURCE ..."""

import sys
from pathlib import Path

from torch.utils.hipify.hipify_python import hipify

folder, output, *sources = sys.argv[1:]
headers = [str(path) for path in sorted(Path(folder).rglob("*.cuh"))]
done = hipify(
    project_directory=folder,
    output_directory=output,
    extra_files=[*sources, *headers],
    show_detailed=True,
    is_pytorch_extension=True,
    hipify_extra_files_only=True,
)
for source in sources:
    if done[source].hipified_path is None:
        sys.exit(f"{source} was not made into a HIP source")
# The includes in the sources name the CUDA headers.
for header in headers:
    made = Path(done[header].hipified_path)
    made.with_name(Path(header).name).write_text(made.read_text())
''',
    "csrc/module.cpp.in": """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "@name@", nullptr, 0, nullptr};
PyMODINIT_FUNC PyInit_@name@(void) { return PyModule_Create(&module); }
""",
    "cmake/external_projects/flashmla.cmake": clone(
        "flashmla", "https://github.com/vllm-project/FlashMLA.git", "main"
    ),
    "cmake/external_projects/vllm_flash_attn.cmake": clone(
        "vllm-flash-attn", "https://github.com/vllm-project/flash-attention.git", "main"
    ),
    "vllm/__init__.py": '''
"""Just enough of vLLM to find its platform."""

from importlib.metadata import version

__version__ = version("vllm")
''',
    "vllm/entrypoints/__init__.py": "",
    "vllm/entrypoints/cli/__init__.py": "",
    "vllm/entrypoints/cli/main.py": '''
"""The command vllm."""

import argparse

import vllm
from vllm import platforms


def main():
    """Show the version, or which platform was found."""
    parser = argparse.ArgumentParser(prog="vllm")
    parser.add_argument("--version", action="version", version=vllm.__version__)
    parser.parse_args()
    print(platforms.resolve_current_platform() or "no platform")


if __name__ == "__main__":
    main()
''',
    "vllm/third_party/__init__.py": "",
    "vllm/platforms/interface.py": '''
"""What all platforms have."""

import platform


def in_wsl():
    """Say whether this is Linux on Windows."""
    return "microsoft" in " ".join(platform.uname()).lower()


class Platform:
    """A kind of GPU."""

    @classmethod
    def device_id_to_physical_device_id(cls, device_id):
        """Return the number of a device as the driver counts."""
        return device_id
''',
}

OLD_PLATFORMS = '''
"""Finds the platform."""

import logging
from typing import Optional

logger = logging.getLogger(__name__)
'''

NEW_PLATFORMS = '''
"""Finds the platform."""

import logging
import os

from .interface import in_wsl

logger = logging.getLogger(__name__)
'''

PLUGIN = """
    is_rocm = False
    logger.debug("Checking if ROCm platform is available.")
    try:
        import amdsmi
        amdsmi.amdsmi_init()
        try:
            is_rocm = len(amdsmi.amdsmi_get_processor_handles()) > 0
        finally:
            amdsmi.amdsmi_shut_down()
    except Exception as e:
        logger.debug("ROCm platform is not available because: %s", str(e))
"""

OLD_PLUGIN = "def rocm_platform_plugin() -> Optional[str]:" + PLUGIN
NEW_PLUGIN = "def rocm_platform_plugin() -> str | None:" + PLUGIN

OLD_RETURN = """

    return "vllm.platforms.rocm.RocmPlatform" if is_rocm else None
"""

NEW_RETURN = """

    if not is_rocm and in_wsl():
        try:
            import torch

            is_rocm = torch.version.hip is not None and torch.cuda.device_count() > 0
        except Exception as e:
            logger.debug("PyTorch does not know either: %s", str(e))

    return "vllm.platforms.rocm.RocmPlatform" if is_rocm else None
"""

PLATFORMS_TAIL = '''


def resolve_current_platform():
    """Return the name of the platform's class, or None."""
    return rocm_platform_plugin()
'''

ROCM_HEAD = '''
"""GPUs of AMD's."""

import logging
from functools import lru_cache, wraps

import torch

from .interface import Platform

logger = logging.getLogger(__name__)
'''

OLD_IMPORT = """
try:
    from amdsmi import (AmdSmiException, amdsmi_get_gpu_asic_info,
                        amdsmi_get_processor_handles, amdsmi_init,
                        amdsmi_shut_down, amdsmi_topo_get_link_type)
except ImportError as e:
    logger.warning("Failed to import from amdsmi with %r", e)
"""

NEW_IMPORT = """
try:
    from amdsmi import (
        AmdSmiException,
        amdsmi_get_gpu_asic_info, amdsmi_get_processor_handles,
        amdsmi_init, amdsmi_shut_down,
        amdsmi_topo_get_link_type,
    )
except ImportError as e:
    logger.warning("Failed to import from amdsmi with %r", e)
"""

ROCM_CONTEXT = '''


def with_amdsmi_context(function):
    """Start amdsmi before a function, and end it after."""

    @wraps(function)
    def wrapper(*arguments, **named):
        amdsmi_init()
        try:
            return function(*arguments, **named)
        finally:
            amdsmi_shut_down()

    return wrapper
'''

ROCM_CLASS = '''


class RocmPlatform(Platform):
    """A GPU of AMD's."""

    device_name = "rocm"
'''

ROCM_NAME = """
    @classmethod
    @with_amdsmi_context
    @lru_cache(maxsize=8)
    def get_device_name(cls, device_id: int = 0) -> str:
        physical_device_id = cls.device_id_to_physical_device_id(device_id)
        handle = amdsmi_get_processor_handles()[physical_device_id]
        return amdsmi_get_gpu_asic_info(handle)["market_name"]
"""
