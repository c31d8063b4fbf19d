"""A stand-in for torchvision: setup.py makes HIP sources itself and builds through PyTorch."""

from pathlib import Path

from tests.standins.upstream.files import write_files


def write(folder: Path, version: str) -> None:
    """Write the source tree of a version."""
    write_files(folder, FILES | {"version.txt": f"{version}a0\n"})


FILES = {
    "setup.py": '''
"""Builds torchvision: operators for CPU and GPU, and the reader of images."""

import os
import sys
from pathlib import Path

import torch
from pkg_resources import DistributionNotFound, get_distribution
from setuptools import find_packages, setup
from torch.utils.cpp_extension import CUDA_HOME, ROCM_HOME
from torch.utils.cpp_extension import BuildExtension, CppExtension, CUDAExtension
from torch.utils.hipify import hipify_python

HERE = Path(__file__).resolve().parent
CSRC = HERE / "torchvision" / "csrc"
FORCE_CUDA = os.getenv("FORCE_CUDA", "0") == "1"
IS_ROCM = torch.version.hip is not None and ROCM_HOME is not None
USES = {
    name: os.getenv(f"TORCHVISION_USE_{name}", "1") == "1"
    for name in ("FFMPEG", "JPEG", "NVJPEG", "PNG", "VIDEO_CODEC", "WEBP")
}


def version():
    """Return the version that is asked for, or that of version.txt."""
    return os.getenv("BUILD_VERSION") or (HERE / "version.txt").read_text().strip()


def requirements():
    """Return what the wheel asks for: the very PyTorch that it is built with."""
    wanted = os.getenv("PYTORCH_VERSION")
    return ["numpy", f"torch=={wanted}" if wanted else "torch", "pillow>=5.3.0,!=8.3.*"]


def names(paths):
    """Return paths as setuptools wants them."""
    return [str(path.relative_to(HERE)) for path in sorted(paths)]


def operators():
    """Return the extension with the operators."""
    sources = names([CSRC / "vision.cpp"])
    if not (FORCE_CUDA or torch.cuda.is_available()):
        print("no GPU is seen: operators for the CPU alone", flush=True)
        return CppExtension("torchvision._C", sources)
    if not IS_ROCM:
        raise OSError(f"neither ROCm ({ROCM_HOME}) nor CUDA ({CUDA_HOME})")
    hipify_python.hipify(
        project_directory=str(HERE),
        output_directory=str(HERE),
        includes=["torchvision/csrc/ops/cuda/*"],
        is_pytorch_extension=True,
    )
    sources += names((CSRC / "ops" / "hip").glob("*.hip"))
    return CUDAExtension("torchvision._C", sources, define_macros=[("WITH_HIP", None)])


def image():
    """Return the extension that reads images, with what it finds."""
    missing = [name for name, used in USES.items() if used]
    if missing:
        sys.exit(f"libraries for {', '.join(missing)} are asked for, and are not here")
    return CppExtension("torchvision.image", names([CSRC / "io" / "image.cpp"]))


try:
    print("replaces", get_distribution("torchvision"), flush=True)
except DistributionNotFound:
    pass
(HERE / "torchvision" / "version.py").write_text(f"__version__ = {version()!r}\\n")
setup(
    name="torchvision",
    version=version(),
    license="BSD-3-Clause",
    packages=find_packages(include=["torchvision", "torchvision.*"]),
    ext_modules=[operators(), image()],
    cmdclass={"build_ext": BuildExtension.with_options(no_python_abi_suffix=True)},
    install_requires=requirements(),
)
''',
    "torchvision/__init__.py": '''
"""Images, and operators on them."""

import torch

from torchvision.version import __version__
''',
    "torchvision/csrc/vision.cpp": """
extern "C" int torchvision_has_gpu() {
#ifdef WITH_HIP
  return 1;
#else
  return 0;
#endif
}
""",
    "torchvision/csrc/io/image.cpp": """
extern "C" int image_is_gif(const char* data) {
  return data[0] == 'G' && data[1] == 'I' && data[2] == 'F';
}
""",
    "torchvision/csrc/ops/cuda/nms_kernel.cu": """
#include <cuda_runtime.h>
#include <c10/cuda/CUDAStream.h>

__global__ void nms_kernel(const float* scores, int* kept, float least, int count) {
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at < count) kept[at] = scores[at] > least;
}

extern "C" int torchvision_nms(const float* scores, int* kept, float least, int count) {
  cudaStream_t stream = c10::cuda::default_stream();
  nms_kernel<<<(count + 255) / 256, 256, 0, stream>>>(scores, kept, least, count);
  return cudaGetLastError() == cudaSuccess ? 0 : 1;
}
""",
}
