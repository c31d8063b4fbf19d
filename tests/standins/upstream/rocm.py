"""A stand-in for ROCm itself: Debian's clang 17, headers and device libraries of the root, laid out
as AMD's packages do below 7.9 and as TheRock does from there on; its HIP runtime is a stub.
"""

# Lines of the files that are written are as long as they would be there.
# ruff: noqa: E501

import json
from pathlib import Path

from tests.standins.upstream.files import write_files

_TOOLS = (
    *("clang-cpp", "clang-offload-bundler", "ld.lld", "lld", "llvm-ar"),
    *("llvm-mc", "llvm-nm", "llvm-objcopy", "llvm-objdump", "llvm-ranlib", "llvm-readelf"),
    *("llvm-strip", "opt", "llc"),
)
_HIP = {"6.4.4": "6.4.43484", "10.0.0": "7.15.26320"}

_ASSEMBLE = r"""#!/usr/bin/env bash
# Lays out a small ROCm in a folder, of what the root has: assemble.sh OUT
set -euo pipefail
cd "$(dirname "$0")"
out=$1 llvm=/usr/lib/llvm-17
mkdir -p "$out/include" "$out/lib"
cp -r --no-preserve=mode,ownership tree/. "$out"
cp -r --no-preserve=mode,ownership /usr/include/hip "$out/include/hip.of.debian"
cp -rn "$out/include/hip.of.debian/." "$out/include/hip"
rm -r "$out/include/hip.of.debian"
mkdir -p "$out/$BITCODE"
cp --no-preserve=mode,ownership $llvm/lib/clang/17/amdgcn/bitcode/*.bc "$out/$BITCODE/"

# Programs of the root, under the names that a ROCm has them.
program() {
    mkdir -p "$(dirname "$out/$1")"
    printf '#!/bin/sh\nexport ROCM_PATH="${ROCM_PATH:-/opt/rocm}"\n' > "$out/$1"
    printf 'export HIP_DEVICE_LIB_PATH="${HIP_DEVICE_LIB_PATH:-/opt/rocm/%s}"\n' "$BITCODE" >> "$out/$1"
    printf 'exec %s "$@"\n' "$2${3:-}" >> "$out/$1"
    chmod 755 "$out/$1"
}
for tool in $TOOLS; do program "lib/llvm/bin/$tool" "$llvm/bin/$tool"; done
# The root has a HIP runtime of its own among the system's libraries, which come before --rocm-path.
first=' --start-no-unused-arguments -L"$ROCM_PATH/lib" --end-no-unused-arguments'
for tool in bin/amdclang lib/llvm/bin/clang; do program $tool "$llvm/bin/clang" "$first"; done
for tool in bin/amdclang++ bin/hipcc lib/llvm/bin/clang++; do program $tool "$llvm/bin/clang++" "$first"; done

gcc -shared -fPIC -O2 -Wall -Wl,-soname,libamdhip64.so."$MAJOR" -o "$out/lib/libamdhip64.so.$FULL" hip_stub.c
ln -s "libamdhip64.so.$FULL" "$out/lib/libamdhip64.so.$MAJOR"
ln -s "libamdhip64.so.$MAJOR" "$out/lib/libamdhip64.so"
"""

_STUB = r"""/* What a program that was compiled with clang -x hip asks of HIP's runtime, on a machine without a GPU. */
#include <stddef.h>

enum { hipSuccess = 0, hipErrorNoDevice = 100 };

static int last_error;

static int no_device(void)
{
    return last_error = hipErrorNoDevice;
}

#define REFUSED(name) int name() { return no_device(); }
REFUSED(hipDeviceSynchronize)
REFUSED(hipEventCreate)
REFUSED(hipEventRecord)
REFUSED(hipEventSynchronize)
REFUSED(hipFree)
REFUSED(hipFuncSetAttribute)
REFUSED(hipGetDevice)
REFUSED(hipGetDeviceProperties)
REFUSED(hipGetDevicePropertiesR0600)
REFUSED(hipLaunchKernel)
REFUSED(hipMalloc)
REFUSED(hipMemcpy)
REFUSED(hipMemcpyAsync)
REFUSED(hipMemset)
REFUSED(hipMemsetAsync)
REFUSED(hipModuleGetFunction)
REFUSED(hipModuleLaunchKernel)
REFUSED(hipModuleLoadData)
REFUSED(hipModuleUnload)
REFUSED(hipSetDevice)
REFUSED(hipStreamSynchronize)
REFUSED(hipStreamCreate)
REFUSED(hipStreamDestroy)

int hipGetDeviceCount(int* count)
{
    *count = 0;
    return no_device();
}

int hipGetLastError(void)
{
    int error = last_error;
    last_error = hipSuccess;
    return error;
}

int hipPeekAtLastError(void)
{
    return last_error;
}

int hipRuntimeGetVersion(int* version)
{
    *version = HIP_NUMBER;
    return hipSuccess;
}

const char* hipGetErrorString(int error)
{
    return error == hipSuccess ? "no error" : "no ROCm-capable device is detected";
}

const char* hipGetErrorName(int error)
{
    return error == hipSuccess ? "hipSuccess" : "hipErrorNoDevice";
}

/* What the compiler calls itself, when a library is loaded and when a kernel is launched. */
static void* modules[1];

void** __hipRegisterFatBinary(const void* data)
{
    (void)data;
    return modules;
}

void __hipUnregisterFatBinary(void** module)
{
    (void)module;
}

void __hipRegisterFunction() {}
void __hipRegisterVar() {}
void __hipRegisterManagedVar() {}

int __hipPushCallConfiguration()
{
    return no_device();
}

int __hipPopCallConfiguration()
{
    return no_device();
}
"""

_HIP_CONFIG = r"""# HIP's runtime, headers, and what compiles device code.
get_filename_component(_hip_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(hip_INCLUDE_DIR "${_hip_prefix}/include")
set(hip_INCLUDE_DIRS "${hip_INCLUDE_DIR}")
set(hip_LIB_INSTALL_DIR "${_hip_prefix}/lib")
set(hip_BIN_INSTALL_DIR "${_hip_prefix}/bin")
set(HIP_PLATFORM amd)
set(AMDGPU_TARGETS "" CACHE STRING "AMD GPU targets to compile for")
set(GPU_TARGETS "${AMDGPU_TARGETS}" CACHE STRING "GPU targets to compile for")
if(NOT TARGET hip::amdhip64)
  add_library(hip::amdhip64 SHARED IMPORTED)
  set_target_properties(hip::amdhip64 PROPERTIES
    IMPORTED_LOCATION "${_hip_prefix}/lib/libamdhip64.so"
    IMPORTED_SONAME "libamdhip64.so.@MAJOR@"
    INTERFACE_INCLUDE_DIRECTORIES "${_hip_prefix}/include"
    INTERFACE_COMPILE_DEFINITIONS "__HIP_PLATFORM_AMD__=1")
  add_library(hip::host INTERFACE IMPORTED)
  set_target_properties(hip::host PROPERTIES INTERFACE_LINK_LIBRARIES hip::amdhip64)
  add_library(hip::device INTERFACE IMPORTED)
  set_target_properties(hip::device PROPERTIES INTERFACE_LINK_LIBRARIES hip::host)
  set(_hip_flags "")
  foreach(_hip_target IN LISTS GPU_TARGETS)
    list(APPEND _hip_flags "--offload-arch=${_hip_target}")
  endforeach()
  set_target_properties(hip::device PROPERTIES
    INTERFACE_COMPILE_OPTIONS "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-x hip>;$<$<COMPILE_LANGUAGE:CXX>:${_hip_flags}>"
    INTERFACE_LINK_OPTIONS "--hip-link;${_hip_flags}")
endif()
set(HIP_VERSION "@HIP@")
set(HIP_FOUND TRUE)
"""

_HIP_LANG = r"""# What CMake asks for when HIP is a language of the project.
get_filename_component(_hip_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET hip-lang::amdhip64)
  add_library(hip-lang::amdhip64 SHARED IMPORTED)
  set_target_properties(hip-lang::amdhip64 PROPERTIES
    IMPORTED_LOCATION "${_hip_prefix}/lib/libamdhip64.so"
    IMPORTED_SONAME "libamdhip64.so.@MAJOR@")
  add_library(hip-lang::device INTERFACE IMPORTED)
  set_target_properties(hip-lang::device PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "$<$<COMPILE_LANGUAGE:HIP>:${_hip_prefix}/include>"
    INTERFACE_LINK_OPTIONS "$<$<LINK_LANGUAGE:HIP>:--hip-link>"
    INTERFACE_LINK_LIBRARIES hip-lang::amdhip64)
endif()
set(_CMAKE_HIP_DEVICE_RUNTIME_TARGET hip-lang::device)
set(HIP_COMPILER clang)
set(HIP_RUNTIME rocclr)
"""

_VERSION_FILE = r"""set(PACKAGE_VERSION "@VERSION@")
set(PACKAGE_VERSION_COMPATIBLE TRUE)
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
elseif(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
"""

# rocm-cmake under its old and its new name: only the old one says ROCM_FOUND.
_ROCM_CMAKE = r"""# The functions of rocm-cmake that projects call.
include(GNUInstallDirs)
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
"""
_ROCM_MODULES = {
    "ROCMSetupVersion.cmake": r"""macro(rocm_setup_version)
  cmake_parse_arguments(_version "" "VERSION" "" ${ARGN})
  set(PROJECT_VERSION "${_version_VERSION}")
  set(${PROJECT_NAME}_VERSION "${_version_VERSION}")
endmacro()
""",
    "ROCMInstallTargets.cmake": r"""include(GNUInstallDirs)
""",
}


def write(folder: Path, version: str) -> None:
    """Write what assembles a ROCm of that release from the root."""
    hip = _HIP[version]
    major, minor, patch = hip.split(".")
    is_therock = int(version.split(".", maxsplit=1)[0]) >= 7
    bitcode = "lib/llvm/amdgcn/bitcode" if is_therock else "amdgcn/bitcode"
    numbers = [int(one) for one in version.split(".")]
    packed = f"{numbers[0]}{numbers[1]:02}{numbers[2]:02}"
    full = hip if is_therock else f"{major}.{minor}.{packed}"
    values = {"MAJOR": major, "HIP": hip}
    tree = {
        ".info/version": f"{version}\n" if is_therock else f"{version}-129\n",
        "include/hip/hip_version.h": _header("HIP", hip),
        "include/rocm-core/rocm_version.h": _header("ROCM", version),
        "lib/cmake/hip/hip-config.cmake": _fill(_HIP_CONFIG, values),
        "lib/cmake/hip/hip-config-version.cmake": _fill(_VERSION_FILE, {"VERSION": hip}),
        "lib/cmake/hip-lang/hip-lang-config.cmake": _fill(_HIP_LANG, values),
        "share/hip/version": "".join(
            f"HIP_VERSION_{name}={number}\n"
            for name, number in zip(("MAJOR", "MINOR", "PATCH"), (major, minor, patch), strict=True)
        ),
    }
    for name in ("ROCM", "ROCmCMakeBuildTools"):
        place = f"share/{name.lower()}/cmake"
        tree[f"{place}/{name}Config.cmake"] = _ROCM_CMAKE
        tree[f"{place}/{name}ConfigVersion.cmake"] = _fill(_VERSION_FILE, {"VERSION": "0.14.0"})
        tree |= {f"{place}/{module}": text for module, text in _ROCM_MODULES.items()}
    if is_therock:
        tree["share/therock/therock_manifest.json"] = json.dumps(
            {"the_rock_commit": "0" * 40, "rocm_version": version, "rocm_package_version": version}
        )
    settings = {"BITCODE": bitcode, "MAJOR": major, "FULL": full, "TOOLS": " ".join(_TOOLS)}
    lines = "".join(f"{name}='{text}'\n" for name, text in settings.items())
    script = _ASSEMBLE.replace("set -euo pipefail\n", f"set -euo pipefail\n{lines}", 1)
    number = int(major) * 10000000 + int(minor) * 100000 + int(patch)
    files = {f"tree/{name}": text for name, text in tree.items()}
    files |= {"assemble.sh": script, "hip_stub.c": _STUB.replace("HIP_NUMBER", str(number))}
    write_files(folder, files)
    (folder / "assemble.sh").chmod(0o755)


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _header(product: str, version: str) -> str:
    """Return the numbers of a product as its version header defines them."""
    numbers = dict(zip(("MAJOR", "MINOR", "PATCH"), version.split("."), strict=True))
    lines = [f"#define {product}_VERSION_{name} {number}\n" for name, number in numbers.items()]
    if product == "HIP":
        lines.append(
            "#define HIP_VERSION "
            "(HIP_VERSION_MAJOR * 10000000 + HIP_VERSION_MINOR * 100000 + HIP_VERSION_PATCH)\n"
            "#define HIP_VERSION_BUILD_ID 0\n#define __HIP_HAS_GET_PCH 0\n"
        )
    return "".join(
        [f"#ifndef {product}_VERSION_H\n#define {product}_VERSION_H\n", *lines, "#endif\n"]
    )
