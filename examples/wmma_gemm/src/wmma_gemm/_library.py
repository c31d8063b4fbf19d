"""The shared library beside this file, loaded at its first use.

What cannot work is said in one sentence: see LibraryError, NoGpuError and GpuError.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
from array import array
from pathlib import Path

WMMA, PLAIN = 0, 1

_OK, _BAD_ARGUMENT, _NO_DEVICE = 0, 1, 2
_MAX_SIZE = 1 << 19
_KFD = Path("/dev/kfd")


class WmmaGemmError(Exception):
    """A sentence for the person who called."""


class LibraryError(WmmaGemmError):
    """The shared library cannot be loaded here."""


class NoGpuError(WmmaGemmError):
    """The library works, but there is no GPU."""


class GpuError(WmmaGemmError):
    """A GPU is there, but it did not do what was asked."""


def library_path() -> Path:
    """Where the shared library lies, or should."""
    return Path(__file__).with_name("libwmma_gemm.so")


def runtime_version() -> str:
    """The version of the HIP runtime that was loaded."""
    number = ctypes.c_int()
    _check(_load().wg_runtime_version(ctypes.byref(number)))
    major, rest = divmod(number.value, 10_000_000)
    minor, patch = divmod(rest, 100_000)
    return f"{major}.{minor}.{patch}"


def device_architectures() -> list[str]:
    """What each GPU is, such as "gfx1151". An empty list means that there is none."""
    library = _load()
    count = ctypes.c_int()
    _check(library.wg_device_count(ctypes.byref(count)))
    found = []
    for device in range(count.value):
        text = ctypes.create_string_buffer(64)
        _check(library.wg_device_architecture(device, text, len(text)))
        found.append(text.value.decode())
    return found


def built_for() -> list[str]:
    """The GPUs that the library has code for."""
    text: bytes = _load().wg_architectures()
    return text.decode().split()


def no_gpu() -> str:
    """Why there may be no GPU, in a sentence."""
    if not _KFD.exists():
        return f"There is no GPU to be used: {_KFD}, the way to the AMD GPU driver, does not exist."
    if not os.access(_KFD, os.R_OK | os.W_OK):
        return (
            f"There is no GPU to be used: you may not open {_KFD} "
            "(its group is usually called render)."
        )
    return (
        "There is no GPU to be used: the driver is there, but the HIP runtime finds no GPU "
        "that it knows."
    )


def gemm(kernel: int, m: int, n: int, k: int, a: bytes, b: bytes) -> array[float]:
    """See the package's function of this name."""
    for name, size in (("m", m), ("n", n), ("k", k)):
        if not 0 <= size <= _MAX_SIZE:
            raise ValueError(f"{name} is {size}, and must be from 0 to {_MAX_SIZE}")
    for name, buffer, lines, columns in (("a", a, m, k), ("b", b, k, n)):
        if len(buffer) != 2 * lines * columns:
            raise ValueError(
                f"{name} has {len(buffer)} bytes, and {lines} x {columns} halves "
                f"take {2 * lines * columns}"
            )
    library = _load()
    product = array("f", bytes(4 * m * n))
    place = ctypes.c_void_p(product.buffer_info()[0])
    _check(library.wg_gemm(kernel, m, n, k, a, b, place))
    return product


def _check(status: int) -> None:
    if status == _OK:
        return
    if status == _NO_DEVICE:
        raise NoGpuError(no_gpu())
    text: bytes = _load().wg_error()
    if status == _BAD_ARGUMENT:
        raise ValueError(text.decode(errors="replace"))
    raise GpuError(text.decode(errors="replace"))


@functools.cache
def _load() -> ctypes.CDLL:
    path = library_path()
    if not path.is_file():
        raise LibraryError(f"{path} is missing: this installation is incomplete.")
    try:
        library = ctypes.CDLL(os.fspath(path))
    except OSError as error:
        raise LibraryError(_reason(str(error))) from error

    number = ctypes.POINTER(ctypes.c_int)
    size = ctypes.c_uint32
    library.wg_error.argtypes = []
    library.wg_error.restype = ctypes.c_char_p
    library.wg_architectures.argtypes = []
    library.wg_architectures.restype = ctypes.c_char_p
    library.wg_runtime_version.argtypes = [number]
    library.wg_device_count.argtypes = [number]
    library.wg_device_architecture.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
    library.wg_gemm.argtypes = [
        ctypes.c_int,
        size,
        size,
        size,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_void_p,
    ]
    return library


def _reason(text: str) -> str:
    """What the dynamic linker says, for people who have never met it."""
    if found := re.match(r"(libamdhip64[^:]*): cannot open shared object file", text):
        return (
            f"The HIP runtime is missing: {found[1]} is not in any folder where libraries are "
            "looked for. Install it, or name its folder in LD_LIBRARY_PATH."
        )
    if found := re.match(r"([^:]+): cannot open shared object file", text):
        return f"{found[1]}, which the HIP runtime or this library needs, is missing."
    if found := re.search(r"version `([^']+)' not found", text):
        return (
            f"This system is too old for the library: {found[1]} is needed. The linker says: {text}"
        )
    return f"The library cannot be loaded: {text}"
