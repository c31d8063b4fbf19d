"""A stand-in for the Triton repository: the folder that vLLM copies, and something beside it."""

from pathlib import Path

from tests.standins.upstream.files import write_files


def write(folder: Path, version: str) -> None:
    """Write the source tree."""
    del version
    write_files(folder, FILES)


FILES = {
    "README.md": "Triton, of which only python/triton_kernels is read here.\n",
    "python/triton_kernels/triton_kernels/__init__.py": '"""Kernels for mixtures of experts."""\n',
    "python/triton_kernels/triton_kernels/matmul.py": '''
"""A product of matrices, in Triton."""

import triton
import triton.language as tl


@triton.jit
def scale(values, count, BLOCK: tl.constexpr):
    """Double a block of values."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(values + at, 2 * tl.load(values + at, mask=at < count), mask=at < count)
''',
}
