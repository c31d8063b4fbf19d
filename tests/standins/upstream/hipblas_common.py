"""A stand-in for hipBLAS-common: one header and a CMake package, which asks for rocm-cmake."""

from pathlib import Path

from tests.standins.upstream.files import write_files

_CMAKE = r"""cmake_minimum_required(VERSION 3.16)
project(hipblas-common LANGUAGES CXX)
set(CMAKE_INSTALL_PREFIX "/opt/rocm" CACHE PATH "Where it is installed")

include(cmake/dependencies.cmake)
include(ROCMSetupVersion)
include(GNUInstallDirs)
rocm_setup_version(VERSION "1.0.0")

add_library(hipblas-common INTERFACE)
add_library(roc::hipblas-common ALIAS hipblas-common)
target_include_directories(hipblas-common INTERFACE
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/library/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(DIRECTORY library/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hipblas-common)
install(TARGETS hipblas-common EXPORT hipblas-common-targets)
install(EXPORT hipblas-common-targets NAMESPACE roc::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hipblas-common)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/hipblas-common-config.cmake
  "include(\"\${CMAKE_CURRENT_LIST_DIR}/hipblas-common-targets.cmake\")\n")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/hipblas-common-config.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hipblas-common)
"""

# Where the toolchain has no rocm-cmake, upstream clones it.
_DEPENDENCIES = r"""find_package(ROCM 0.11.0 CONFIG QUIET)
if(NOT ROCM_FOUND)
  message(STATUS "ROCm CMake not found, fetching it")
  execute_process(
    COMMAND git clone --depth 1 https://github.com/ROCm/rocm-cmake.git
      ${CMAKE_CURRENT_BINARY_DIR}/rocm-cmake
    COMMAND_ERROR_IS_FATAL ANY)
  find_package(ROCM 0.11.0 REQUIRED CONFIG PATHS ${CMAKE_CURRENT_BINARY_DIR}/rocm-cmake)
endif()
"""

_HEADER = r"""#ifndef HIPBLAS_COMMON_H
#define HIPBLAS_COMMON_H

typedef enum { HIPBLAS_OP_N = 111, HIPBLAS_OP_T = 112, HIPBLAS_OP_C = 113 } hipblasOperation_t;

#endif
"""


def write(folder: Path, version: str) -> None:
    """Write the source; every version of it is the same."""
    del version
    files = {
        "CMakeLists.txt": _CMAKE,
        "cmake/dependencies.cmake": _DEPENDENCIES,
        "library/include/hipblas-common.h": _HEADER,
    }
    write_files(folder, files)
