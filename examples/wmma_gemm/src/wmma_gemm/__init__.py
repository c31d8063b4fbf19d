"""Half-precision matrix product on the matrix units of RDNA 3 GPUs.

Importing this needs neither a GPU nor the HIP runtime; the first call looks for both.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING

from . import _library
from ._library import (
    GpuError,
    LibraryError,
    NoGpuError,
    WmmaGemmError,
    device_architectures,
    library_path,
    runtime_version,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = [
    "GpuError",
    "LibraryError",
    "NoGpuError",
    "WmmaGemmError",
    "device_architectures",
    "gemm",
    "halves",
    "library_path",
    "runtime_version",
]

__version__ = version("wmma_gemm")


def halves(values: Iterable[float]) -> bytes:
    """The values rounded to half precision, as `gemm` wants them."""
    numbers = list(values)
    return struct.pack(f"={len(numbers)}e", *numbers)


def gemm(
    a: ReadableBuffer, b: ReadableBuffer, *, m: int, n: int, k: int, wmma: bool = True
) -> array[float]:
    """The product of an m x k and a k x n matrix of halves, as m * n floats, row after row.

    `wmma=False` takes the kernel without matrix instructions, which is slow and good to compare
    with. Raises ValueError for sizes that do not fit the buffers, and WmmaGemmError.
    """
    kernel = _library.WMMA if wmma else _library.PLAIN
    return _library.gemm(kernel, m, n, k, bytes(a), bytes(b))
