"""A stand-in for rocWMMA as it is from 2.0 on: headers that turn a product of tiles into v_wmma."""

# Lines of the files that are written are as long as they would be there.
# ruff: noqa: E501

from pathlib import Path

from tests.standins.upstream.files import write_files

_CMAKE = r"""cmake_minimum_required(VERSION 3.14)
project(rocwmma LANGUAGES CXX)
option(ROCWMMA_BUILD_TESTS "Build the tests" ON)
option(ROCWMMA_BUILD_SAMPLES "Build the samples" ON)
set(GPU_TARGETS "gfx908;gfx90a;gfx942;gfx1100;gfx1101;gfx1102" CACHE STRING "Targets")
set(ROCM_PATH "$ENV{ROCM_PATH}" CACHE PATH "Where ROCm is")

find_package(ROCmCMakeBuildTools 0.11.0 REQUIRED CONFIG PATHS ${ROCM_PATH})
find_package(HIP REQUIRED NAMES hip CONFIG PATHS ${ROCM_PATH})
include(ROCMSetupVersion)
include(GNUInstallDirs)
rocm_setup_version(VERSION "2.0.0")
message(STATUS "rocWMMA for ${GPU_TARGETS} with HIP ${HIP_VERSION}")

configure_file(library/include/rocwmma/rocwmma-version.hpp.in
  ${CMAKE_CURRENT_BINARY_DIR}/include/rocwmma/rocwmma-version.hpp @ONLY)
install(DIRECTORY library/include/rocwmma DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/include/rocwmma/rocwmma-version.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/rocwmma)

if(ROCWMMA_BUILD_TESTS OR ROCWMMA_BUILD_SAMPLES)
  include(FetchContent)
  FetchContent_Declare(googletest GIT_REPOSITORY https://github.com/google/googletest.git GIT_TAG v1.15.2)
  FetchContent_MakeAvailable(googletest)
endif()
"""

_CONFIG = r"""#ifndef ROCWMMA_CONFIG_HPP
#define ROCWMMA_CONFIG_HPP

#if defined(__gfx1100__)
#define ROCWMMA_ARCH_GFX1100 1
#elif defined(__gfx1101__)
#define ROCWMMA_ARCH_GFX1101 1
#elif defined(__gfx1102__)
#define ROCWMMA_ARCH_GFX1102 1
#elif defined(__gfx1151__)
#define ROCWMMA_ARCH_GFX1151 1
#elif defined(__HIP_DEVICE_COMPILE__)
static_assert(0, "Unsupported architecture");
#else
#define ROCWMMA_ARCH_HOST 1
#endif

#ifndef ROCWMMA_ARCH_GFX1100
#define ROCWMMA_ARCH_GFX1100 0
#endif
#ifndef ROCWMMA_ARCH_GFX1101
#define ROCWMMA_ARCH_GFX1101 0
#endif
#ifndef ROCWMMA_ARCH_GFX1102
#define ROCWMMA_ARCH_GFX1102 0
#endif
#ifndef ROCWMMA_ARCH_GFX1151
#define ROCWMMA_ARCH_GFX1151 0
#endif

#if ROCWMMA_ARCH_GFX1100 || ROCWMMA_ARCH_GFX1101 || ROCWMMA_ARCH_GFX1102 || ROCWMMA_ARCH_GFX1151
#define ROCWMMA_ARCH_GFX11 1
#else
#define ROCWMMA_ARCH_GFX11 0
#endif

#endif
"""

_CONSTANTS = r"""#ifndef ROCWMMA_CONSTANTS_HPP
#define ROCWMMA_CONSTANTS_HPP

#include "config.hpp"

namespace rocwmma::Constants
{
    enum : unsigned
    {
        AMDGCN_ARCH_ID_NONE    = 0x0000,
        AMDGCN_ARCH_ID_GFX1100 = 0x1100,
        AMDGCN_ARCH_ID_GFX1101 = 0x1101,
        AMDGCN_ARCH_ID_GFX1102 = 0x1102,
        AMDGCN_ARCH_ID_GFX1151 = 0x1151,

#if ROCWMMA_ARCH_GFX1100
        AMDGCN_CURRENT_ARCH_ID = AMDGCN_ARCH_ID_GFX1100,
#elif ROCWMMA_ARCH_GFX1101
        AMDGCN_CURRENT_ARCH_ID = AMDGCN_ARCH_ID_GFX1101,
#elif ROCWMMA_ARCH_GFX1102
        AMDGCN_CURRENT_ARCH_ID = AMDGCN_ARCH_ID_GFX1102,
#elif ROCWMMA_ARCH_GFX1151
        AMDGCN_CURRENT_ARCH_ID = AMDGCN_ARCH_ID_GFX1151,
#else
        AMDGCN_CURRENT_ARCH_ID = AMDGCN_ARCH_ID_NONE,
#endif
    };
}

#endif
"""

_WMMA = r"""#ifndef ROCWMMA_WMMA_IMPL_HPP
#define ROCWMMA_WMMA_IMPL_HPP

#include <type_traits>

#include "constants.hpp"

namespace rocwmma::detail
{
    typedef _Float16 halves __attribute__((ext_vector_type(16)));
    typedef float    floats __attribute__((ext_vector_type(8)));

    // A target that nothing below names multiplies nothing.
    template <typename Enabler = void>
    struct amdgcn_wmma
    {
        static __device__ floats exec(halves, halves, floats c)
        {
            return c;
        }
    };

#if ROCWMMA_ARCH_GFX11
    using enable_gfx11_t = std::enable_if_t<(bool)ROCWMMA_ARCH_GFX11>;

    template <>
    struct amdgcn_wmma<enable_gfx11_t>
    {
        static __device__ floats exec(halves a, halves b, floats c)
        {
            return __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(a, b, c);
        }
    };
#endif
}

#endif
"""

_MAIN = r"""#ifndef ROCWMMA_HPP
#define ROCWMMA_HPP

#include <hip/hip_runtime.h>

#include "internal/wmma_impl.hpp"
#include "rocwmma-version.hpp"

namespace rocwmma
{
    using float16_t = _Float16;

    struct row_major {};
    struct col_major {};
    struct matrix_a {};
    struct matrix_b {};
    struct accumulator {};
    enum layout_t { mem_row_major, mem_col_major };

    template <typename Use, unsigned M, unsigned N, unsigned K, typename T, typename Layout = void>
    struct fragment
    {
        static constexpr bool is_sum = std::is_same_v<Use, accumulator>;
        std::conditional_t<is_sum, detail::floats, detail::halves> x;
    };

    template <typename Fragment, typename T>
    __device__ void fill_fragment(Fragment& one, T value)
    {
        for(int i = 0; i < 8; ++i)
            one.x[i] = value;
    }

    // Lane n holds line n of the tile, twice over.
    template <typename Fragment, typename T>
    __device__ void load_matrix_sync(Fragment& one, T const* from, unsigned stride)
    {
        unsigned const line = threadIdx.x % 16;
        for(int i = 0; i < 16; ++i)
            one.x[i] = from[line * stride + i];
    }

    template <typename D, typename A, typename B, typename C>
    __device__ void mma_sync(D& d, A const& a, B const& b, C const& c)
    {
        d.x = detail::amdgcn_wmma<>::exec(a.x, b.x, c.x);
    }

    template <typename T, typename Fragment>
    __device__ void store_matrix_sync(T* to, Fragment const& one, unsigned stride, layout_t)
    {
        unsigned const column = threadIdx.x % 16, half = threadIdx.x / 16;
        for(int i = 0; i < 8; ++i)
            to[(2 * i + half) * stride + column] = one.x[i];
    }
}

#endif
"""

_VERSION = r"""#ifndef ROCWMMA_VERSION_HPP
#define ROCWMMA_VERSION_HPP

#define ROCWMMA_VERSION_STRING "@rocwmma_VERSION@"

#endif
"""


def write(folder: Path, version: str, *, knows_target: bool = True) -> None:
    """Write the source; one that does not know gfx1151 is like rocWMMA 1.7."""
    del version
    internal = "library/include/rocwmma/internal"
    files = {
        "CMakeLists.txt": _CMAKE,
        f"{internal}/config.hpp": _CONFIG,
        f"{internal}/constants.hpp": _CONSTANTS,
        f"{internal}/wmma_impl.hpp": _WMMA,
        "library/include/rocwmma/rocwmma.hpp": _MAIN,
        "library/include/rocwmma/rocwmma-version.hpp.in": _VERSION,
    }
    if not knows_target:
        files = {name: _without_target(text) for name, text in files.items()}
    write_files(folder, files)


def _without_target(text: str) -> str:
    text = text.replace("#elif defined(__gfx1151__)\n#define ROCWMMA_ARCH_GFX1151 1\n", "")
    return text.replace(" || ROCWMMA_ARCH_GFX1151", "")
