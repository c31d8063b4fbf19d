"""A stand-in for Triton: a native module, two backends, and a compiler of a single kind of kernel."""

# Lines of the files that are written are as long as they would be there.
# ruff: noqa: E501

from pathlib import Path

from tests.standins.upstream.files import write_files

_SETUP = r'''import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


def check_env_flag(name, default=""):
    return os.getenv(name, default).upper() in ["ON", "1", "YES", "TRUE", "Y"]


def is_offline_build():
    """Whether downloads are forbidden."""
    return check_env_flag("TRITON_OFFLINE_BUILD", "")


def get_triton_cache_path():
    home = os.getenv("TRITON_HOME", "") or os.getenv("HOME", "")
    if not home:
        raise RuntimeError("Could not find user home directory")
    return Path(home) / ".triton"


@dataclass
class Backend:
    name: str
    src: Path


class BackendInstaller:
    @staticmethod
    def copy(active):
        return [Backend(name, HERE / "third_party" / name / "backend") for name in active]


def download(url, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    print(f"downloading and extracting {url} ...")
    with urllib.request.urlopen(url) as reply, place.open("wb") as file:
        shutil.copyfileobj(reply, file)


def get_thirdparty_package(variable, name, url):
    """Return the folder of a third party: what a variable says, else a download."""
    if path := os.environ.get(variable):
        link = get_triton_cache_path() / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path)
        return link
    if is_offline_build():
        raise RuntimeError(f"Requested an offline build but {variable} is not set")
    download(url, get_triton_cache_path() / name / Path(url).name)
    raise RuntimeError(f"{url}: this is no archive of {name}")


@LLVM@


def get_json():
    version = (HERE / "cmake" / "json-version.txt").read_text().strip()
    url = f"https://github.com/nlohmann/json/releases/download/{version}/include.zip"
    return get_thirdparty_package("JSON_SYSPATH", "json", url)


def download_nvidia_tools():
    """The tools of NVIDIA's backend, which an offline build leaves out."""
    if is_offline_build():
        return
    for name in ("ptxas", "cuobjdump", "nvdisasm"):
        url = f"https://anaconda.org/nvidia/cuda-nvcc/12.8.93/download/linux-64/{name}.tar.bz2"
        download(url, get_triton_cache_path() / "nvidia" / name)


class CMakeBuild(build_ext):
    def run(self):
        download_nvidia_tools()
        llvm = get_llvm()
        build = HERE / "build" / "cmake"
        target = Path(self.build_lib).resolve() / "triton" / "_C"
        target.mkdir(parents=True, exist_ok=True)
        import pybind11

        proton = check_env_flag("TRITON_BUILD_PROTON", "ON")
        options = [
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target}",
            f"-DLLVM_LIBRARY_DIR={llvm}/lib",
            f"-DPYBIND11_INCLUDE={pybind11.get_include()}",
            f"-DPYTHON_INCLUDE={sysconfig.get_path('include')}",
            f"-DTRITON_CODEGEN_BACKENDS={';'.join(one.name for one in backends)}",
            f"-DTRITON_BUILD_PROTON={'ON' if proton else 'OFF'}",
            f"-DTRITON_BUILD_UT={'OFF' if is_offline_build() else 'ON'}",
            f"-DTRITON_PARALLEL_LINK_JOBS={os.getenv('TRITON_PARALLEL_LINK_JOBS', 2 * (os.cpu_count() or 1))}",
            "-DCMAKE_BUILD_TYPE=Release",
        ]
        if @JSON@:
            options.append(f"-DJSON_INCLUDE_DIR={get_json()}/include")
        if proton:
            download("https://anaconda.org/nvidia/cuda-cupti/download/linux-64/cupti.tar.bz2", get_triton_cache_path() / "cupti")
        if check_env_flag("TRITON_BUILD_WITH_CCACHE"):
            options.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        options += shlex.split(os.getenv("TRITON_APPEND_CMAKE_ARGS", ""))
        jobs = os.getenv("MAX_JOBS", str(2 * (os.cpu_count() or 1)))
        subprocess.check_call(["cmake", "-S", str(HERE), "-B", str(build), "-G", "Ninja", *options])
        subprocess.check_call(["cmake", "--build", str(build), "-j", jobs])
        shutil.copy(llvm / "bin" / "FileCheck", target.parent / "FileCheck")
        lib = target.parent / "backends" / "amd" / "lib"
        lib.mkdir(parents=True, exist_ok=True)
        for source in sorted((HERE / "third_party" / "amd" / "device").glob("*.ll")):
            subprocess.check_call([llvm / "bin" / "llvm-as", "-o", lib / f"{source.stem}.bc", source])


backends = BackendInstaller.copy(["nvidia", "amd"])

setup(
    name="triton",
    version="@VERSION@",
    license="MIT",
    packages=["triton", "triton.language", "triton.backends", *(f"triton.backends.{one.name}" for one in backends)],
    package_dir={"": "python", **{f"triton.backends.{one.name}": str(one.src.relative_to(HERE)) for one in backends}},
    ext_modules=[Extension("triton._C.libtriton", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    install_requires=[@REQUIRES@],
)
'''

_LLVM_OLD = r"""def get_llvm():
    revision = (HERE / "cmake" / "llvm-hash.txt").read_text()[:8]
    url = f"https://oaitriton.blob.core.windows.net/public/llvm-builds/llvm-{revision}-ubuntu-x64.tar.gz"
    return get_thirdparty_package("LLVM_SYSPATH", "llvm", url)"""
_LLVM_NEW = r"""def get_llvm():
    info = json.loads((HERE / "cmake" / "llvm-info.json").read_text())
    name = f"llvm-{info['llvm_hash'][:8]}-ubuntu-x64-{info['build_number']}.tar.gz"
    return get_thirdparty_package("LLVM_SYSPATH", "llvm", f"https://oaitriton.blob.core.windows.net/public/llvm-builds/{name}")"""

_CMAKE = r"""cmake_minimum_required(VERSION 3.20)
project(triton LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 17)
set_property(GLOBAL PROPERTY JOB_POOLS link_job_pool=${TRITON_PARALLEL_LINK_JOBS})
set(CMAKE_JOB_POOL_LINK link_job_pool)
find_package(MLIR REQUIRED CONFIG PATHS ${LLVM_LIBRARY_DIR}/cmake/mlir NO_DEFAULT_PATH)
if(TRITON_BUILD_UT)
  include(FetchContent)
  FetchContent_Declare(googletest GIT_REPOSITORY https://github.com/google/googletest.git GIT_TAG v1.17.0)
  FetchContent_MakeAvailable(googletest)
endif()
message(STATUS "backends: ${TRITON_CODEGEN_BACKENDS}; proton: ${TRITON_BUILD_PROTON}")
add_library(triton MODULE python/src/main.cc)
target_include_directories(triton PRIVATE ${PYBIND11_INCLUDE} ${PYTHON_INCLUDE} ${MLIR_INCLUDE_DIRS} ${JSON_INCLUDE_DIR})
target_compile_options(triton PRIVATE -Werror -fvisibility=hidden)
if(JSON_INCLUDE_DIR)
  target_compile_definitions(triton PRIVATE HAS_JSON=1)
endif()
"""

_MAIN = r"""#include <mlir/IR/Standin.h>
#ifdef HAS_JSON
#include <nlohmann/json.hpp>
#endif

#include <pybind11/pybind11.h>
#include <string>

// A kernel that writes one number for each thread, as assembly of one GPU.
static std::string assembly(std::string const &name, std::string const &arch, int value) {
  std::string const text =
      ".amdgcn_target \"amdgcn-amd-amdhsa--ARCH\"\n.text\n.globl NAME\n.p2align 8\n.type NAME,@function\nNAME:\n"
      "  s_load_b64 s[0:1], s[0:1], 0x0\n  v_mov_b32 v1, VALUE\n  v_lshlrev_b32 v0, 2, v0\n"
      "  s_waitcnt lgkmcnt(0)\n  global_store_b32 v0, v1, s[0:1]\n  s_endpgm\n.Lend:\n.size NAME, .Lend-NAME\n"
      ".rodata\n.p2align 6\n.amdhsa_kernel NAME\n  .amdhsa_user_sgpr_kernarg_segment_ptr 1\n"
      "  .amdhsa_next_free_vgpr 8\n  .amdhsa_next_free_sgpr 8\n  .amdhsa_wavefront_size32 1\n.end_amdhsa_kernel\n"
      ".amdgpu_metadata\n---\namdhsa.version: [1, 1]\namdhsa.target: amdgcn-amd-amdhsa--ARCH\namdhsa.kernels:\n"
      "  - .name: NAME\n    .symbol: NAME.kd\n    .kernarg_segment_size: 8\n    .kernarg_segment_align: 8\n"
      "    .group_segment_fixed_size: 0\n    .private_segment_fixed_size: 0\n    .wavefront_size: 32\n"
      "    .sgpr_count: 8\n    .vgpr_count: 8\n    .max_flat_workgroup_size: 256\n    .args:\n"
      "      - { .size: 8, .offset: 0, .value_kind: global_buffer, .address_space: global }\n"
      "...\n.end_amdgpu_metadata\n";
  std::string made = text;
  auto const fill = [&made](std::string const &mark, std::string const &with) {
    for (size_t at = 0; (at = made.find(mark, at)) != std::string::npos; at += with.size())
      made.replace(at, mark.size(), with);
  };
  fill("NAME", name);
  fill("ARCH", arch);
  fill("VALUE", std::to_string(value));
  return made;
}

PYBIND11_MODULE(libtriton, m) {
  m.doc() = "Python bindings to the C++ Triton API";
  m.attr("llvm") = MLIR_COMMIT;
  m.def("assembly", &assembly);
}
"""

_INIT = r'''"""Kernels written in Python, compiled to code objects."""

__version__ = "@VERSION@"

from . import language
from .compiler import compile
from .language import jit
'''

_LANGUAGE = r'''"""What kernels are written in."""


class constexpr(int):
    """A number that is known when a kernel is compiled."""


class JITFunction:
    def __init__(self, fn):
        self.fn = fn
        self.__name__ = fn.__name__


def jit(fn):
    """Mark a function as a kernel: it returns the number that each thread stores."""
    return JITFunction(fn)
'''

_COMPILER = r'''"""Compiles a kernel for one GPU with its backend."""

from .backends.amd.compiler import HIPBackend


def compile(kernel, arch, **constants):
    """Return the code object of a kernel as bytes, with these arguments known."""
    return HIPBackend(arch).make_hsaco(kernel.__name__, kernel.fn(**constants))
'''

_BACKEND = r'''"""The AMD backend: assembly from libtriton, assembled and linked to a code object."""

import os
import subprocess
import tempfile
from pathlib import Path

from triton._C import libtriton


class HIPBackend:
    def __init__(self, arch):
        self.arch = arch

    @staticmethod
    def path_to_rocm_lld():
        places = [os.getenv("TRITON_HIP_LLD_PATH"), "/opt/rocm/lib/llvm/bin/ld.lld", "/usr/bin/ld.lld"]
        for place in filter(None, places):
            if Path(place).is_file():
                return Path(place)
        raise RuntimeError("ROCm linker /opt/rocm/llvm/bin/ld.lld not found. Set 'TRITON_HIP_LLD_PATH' to its path.")

    def make_hsaco(self, name, value):
        lld = self.path_to_rocm_lld()
        with tempfile.TemporaryDirectory() as folder:
            source, made, linked = (Path(folder) / f"kernel.{kind}" for kind in ("s", "o", "hsaco"))
            source.write_text(libtriton.assembly(name, self.arch, value))
            target = ["-target", "amdgcn-amd-amdhsa", f"-mcpu={self.arch}", "-mcode-object-version=4"]
            subprocess.run([lld.with_name("clang"), "-x", "assembler", *target, "-c", "-o", made, source], check=True)
            subprocess.run([lld, "-flavor", "gnu", "-shared", made, "-o", linked], check=True)
            return linked.read_bytes()
'''

_DEVICE = """target triple = "amdgcn-amd-amdhsa"

define protected float @__@NAME@_standin(float %x) {
  ret float %x
}
"""


def write(folder: Path, version: str) -> None:
    """Write the source of 3.4 or of 3.8: they name their LLVM in different files."""
    is_old = int(version.split(".")[1]) < 7
    setup = _SETUP.replace("@LLVM@", _LLVM_OLD if is_old else _LLVM_NEW)
    setup = setup.replace("@JSON@", "proton" if is_old else "True").replace("@VERSION@", version)
    setup = setup.replace("@REQUIRES@", '"setuptools>=40.8.0"' if is_old else "")
    cmake = "cmake>=3.20,<4.0" if is_old else "cmake==4.0"
    files = {
        "setup.py": setup,
        "pyproject.toml": '[build-system]\nbuild-backend = "setuptools.build_meta"\n'
        f'requires = ["setuptools>=40.8.0", "{cmake}", "ninja>=1.11.1", "pybind11>=2.13.1"]\n',
        "CMakeLists.txt": _CMAKE,
        "cmake/json-version.txt": "v3.11.3\n",
        "python/src/main.cc": _MAIN,
        "python/triton/__init__.py": _INIT.replace("@VERSION@", version),
        "python/triton/compiler.py": _COMPILER,
        "python/triton/language/__init__.py": _LANGUAGE,
        "python/triton/backends/__init__.py": "",
        "third_party/amd/backend/__init__.py": "",
        "third_party/amd/backend/compiler.py": _BACKEND,
        "third_party/nvidia/backend/__init__.py": "",
        "third_party/nvidia/backend/compiler.py": '"""Compiles nothing here."""\n',
        "python/triton_kernels/triton_kernels/__init__.py": "import triton\n",
    }
    if is_old:
        files["cmake/llvm-hash.txt"] = "8957e64a20fc7f4277565c6cfe3e555c119783ce\n"
    else:
        files["cmake/llvm-info.json"] = (
            '{\n  "llvm_hash": "5f07f818b51b786b0a87b4e514882600ecba112f",\n  "build_number": 1\n}\n'
        )
    for name in ("ocml", "ockl"):
        files[f"third_party/amd/device/{name}.ll"] = _DEVICE.replace("@NAME@", name)
    write_files(folder, files)
