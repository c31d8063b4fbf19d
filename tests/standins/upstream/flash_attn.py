"""A stand-in for FlashAttention: Python alone; a prebuilt wheel is asked for first."""

from pathlib import Path

from tests.standins.upstream.files import write_files


def write(folder: Path, version: str) -> None:
    """Write the source tree of a version."""
    write_files(folder, FILES | {"flash_attn/__init__.py": INIT.replace("@VERSION@", version)})


INIT = '''
"""Attention, exact and in little memory."""

__version__ = "@VERSION@"

from flash_attn.flash_attn_interface import flash_attn_func
'''

FILES = {
    "setup.py": '''
"""Builds flash_attn: a prebuilt wheel where there is one, else whatever is not switched off."""

import ast
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import psutil
import torch
from packaging.version import parse
from setuptools import find_packages, setup
from torch.utils.cpp_extension import ROCM_HOME, BuildExtension, CUDAExtension
from wheel.bdist_wheel import bdist_wheel

HERE = Path(__file__).resolve().parent
BUILD_TARGET = os.environ.get("BUILD_TARGET", "auto")
IS_ROCM = BUILD_TARGET == "rocm" or (BUILD_TARGET == "auto" and torch.version.hip is not None)
FORCE_BUILD = os.getenv("FLASH_ATTENTION_FORCE_BUILD", "FALSE") == "TRUE"
SKIP_CUDA_BUILD = os.getenv("FLASH_ATTENTION_SKIP_CUDA_BUILD", "FALSE") == "TRUE"
USE_TRITON_ROCM = os.getenv("FLASH_ATTENTION_TRITON_AMD_ENABLE", "FALSE") == "TRUE"
SKIP_CK_BUILD = (
    os.getenv("FLASH_ATTENTION_SKIP_CK_BUILD", "TRUE" if USE_TRITON_ROCM else "FALSE") == "TRUE"
)

if (HERE / ".git").is_dir() and not SKIP_CK_BUILD:
    subprocess.check_call(["git", "submodule", "update", "--init", "csrc/composable_kernel"])


def version():
    """Return the version that the package names."""
    text = (HERE / "flash_attn" / "__init__.py").read_text()
    return str(parse(ast.literal_eval(re.search(r"^__version__ = (.*)$", text, re.M)[1])))


ext_modules = []
if not SKIP_CUDA_BUILD and not SKIP_CK_BUILD:
    for arch in os.getenv("GPU_ARCHS", "native").split(";"):
        if arch not in ("native", "gfx90a", "gfx942", "gfx950"):
            raise RuntimeError(f"composable_kernel knows no {arch}")
    ext_modules.append(CUDAExtension("flash_attn_2_cuda", ["csrc/flash_attn_ck/api.hip"]))


class CachedWheelsCommand(bdist_wheel):
    """Takes the prebuilt wheel of this version, and builds where there is none."""

    def run(self):
        """Download, or build."""
        if FORCE_BUILD:
            return super().run()
        base = "https://github.com/Dao-AILab/flash-attention/releases/download"
        name = f"flash_attn-{version()}+rocm-cp313-cp313-linux_x86_64.whl"
        print("guessing the wheel:", name, flush=True)
        place, _ = urllib.request.urlretrieve(f"{base}/v{version()}/{name}", name)
        os.makedirs(self.dist_dir, exist_ok=True)
        return shutil.move(place, Path(self.dist_dir, name))


print(f"{psutil.virtual_memory().total >> 30} GiB, ROCm: {IS_ROCM} ({ROCM_HOME})", flush=True)
setup(
    name="flash_attn",
    version=version(),
    license="BSD-3-Clause",
    packages=find_packages(include=["flash_attn", "flash_attn.*"]),
    ext_modules=ext_modules,
    cmdclass={"bdist_wheel": CachedWheelsCommand}
    | ({"build_ext": BuildExtension} if ext_modules else {}),
    install_requires=["torch", "einops"],
)
''',
    # Compiled for whatever PyTorch finds, unless it is switched off.
    "csrc/flash_attn_ck/api.hip": """
#include <hip/hip_runtime.h>

__global__ void softmax_kernel(float* scores, int count) {
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at < count) scores[at] = expf(scores[at]);
}

extern "C" int flash_attn_softmax(float* scores, int count) {
  softmax_kernel<<<(count + 255) / 256, 256>>>(scores, count);
  return hipGetLastError() == hipSuccess ? 0 : 1;
}
""",
    "flash_attn/flash_attn_interface.py": '''
"""Chooses the backend when it is imported."""

import os

USE_TRITON_ROCM = os.getenv("FLASH_ATTENTION_TRITON_AMD_ENABLE", "FALSE") == "TRUE"
if USE_TRITON_ROCM:
    from .flash_attn_triton_amd import interface_fa as flash_attn_gpu
else:
    import flash_attn_2_cuda as flash_attn_gpu


def flash_attn_func(*given):
    """Return the attention of query, key and value."""
    return flash_attn_gpu.fwd(*given)
''',
    "flash_attn/flash_attn_triton_amd/__init__.py": "",
    "flash_attn/flash_attn_triton_amd/interface_fa.py": '''
"""The backend in Triton."""


def fwd(query, key, value):
    """Start the kernel."""
    import triton

    raise NotImplementedError(f"no kernel here, and Triton {triton.__version__}")
''',
}
