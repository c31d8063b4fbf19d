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
from typing import TypeVar

Array = TypeVar("Array", "array[int]", "array[float]")

# The library's names for the types of array.array.
TYPES = {"I": "u32", "Q": "u64", "f": "f32"}

_OK, _BAD_ARGUMENT, _NO_DEVICE = 0, 1, 2
_KFD = Path("/dev/kfd")


class DeviceSortError(Exception):
    """A sentence for the person who called."""


class LibraryError(DeviceSortError):
    """The shared library cannot be loaded here."""


class NoGpuError(DeviceSortError):
    """The library works, but there is no GPU."""


class GpuError(DeviceSortError):
    """A GPU is there, but it did not do what was asked."""


def library_path() -> Path:
    """Where the shared library lies, or should."""
    return Path(__file__).with_name("libdevice_sort.so")


def runtime_version() -> str:
    """The version of the HIP runtime that was loaded."""
    number = ctypes.c_int()
    _check(_load().ds_runtime_version(ctypes.byref(number)))
    major, rest = divmod(number.value, 10_000_000)
    minor, patch = divmod(rest, 100_000)
    return f"{major}.{minor}.{patch}"


def device_architectures() -> list[str]:
    """What each GPU is, such as "gfx1151". An empty list means that there is none."""
    library = _load()
    count = ctypes.c_int()
    _check(library.ds_device_count(ctypes.byref(count)))
    found = []
    for device in range(count.value):
        text = ctypes.create_string_buffer(64)
        _check(library.ds_device_architecture(device, text, len(text)))
        found.append(text.value.decode())
    return found


def built_for() -> list[str]:
    """The GPUs that the library has code for."""
    text: bytes = _load().ds_architectures()
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


def sort_keys(keys: Array, *, descending: bool = False) -> Array:
    """The keys in order."""
    result = keys[:]
    _call("sort_keys", keys, _place(keys), _place(result), len(keys), int(descending))
    return result


def sort_pairs(
    keys: Array, values: array[int], *, descending: bool = False
) -> tuple[Array, array[int]]:
    """The keys in order, and the values ("I") that belong to them. Equal keys keep theirs."""
    if values.typecode != "I":
        raise ValueError(f'the values are of type "{values.typecode}", and must be of type "I"')
    if len(keys) != len(values):
        raise ValueError(f"there are {len(keys)} keys and {len(values)} values")
    sorted_keys, sorted_values = keys[:], values[:]
    _call(
        "sort_pairs",
        keys,
        _place(keys),
        _place(values),
        _place(sorted_keys),
        _place(sorted_values),
        len(keys),
        int(descending),
    )
    return sorted_keys, sorted_values


def inclusive_scan(values: Array) -> Array:
    """For each element, the sum of all up to it. Sums of integers wrap around."""
    result = values[:]
    _call("inclusive_scan", values, _place(values), _place(result), len(values))
    return result


def reduce(values: Array) -> int | float:
    """The sum of all elements, 0 for none. Sums of integers wrap around."""
    result = array(values.typecode, bytes(values.itemsize))
    _call("reduce", values, _place(values), _place(result), len(values))
    total: int | float = result[0]
    return total


def _place(values: array[int] | array[float]) -> int:
    """The address of the elements. It holds as long as the array is neither freed nor resized."""
    return values.buffer_info()[0]


def _call(function: str, keys: array[int] | array[float], *arguments: int) -> None:
    """Call the library's function for the type of `keys`."""
    if keys.typecode not in TYPES:
        raise ValueError(
            f'the array is of type "{keys.typecode}", and must be of one of {", ".join(TYPES)}'
        )
    _check(getattr(_load(), f"ds_{function}_{TYPES[keys.typecode]}")(*arguments))


def _check(status: int) -> None:
    if status == _OK:
        return
    if status == _NO_DEVICE:
        raise NoGpuError(no_gpu())
    text: bytes = _load().ds_error()
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
    place, count, flag = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    library.ds_error.argtypes = []
    library.ds_error.restype = ctypes.c_char_p
    library.ds_architectures.argtypes = []
    library.ds_architectures.restype = ctypes.c_char_p
    library.ds_runtime_version.argtypes = [number]
    library.ds_device_count.argtypes = [number]
    library.ds_device_architecture.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
    for name in TYPES.values():
        # An item instead of an attribute would be a new object each time, and forget its types.
        getattr(library, f"ds_sort_keys_{name}").argtypes = [place, place, count, flag]
        getattr(library, f"ds_sort_pairs_{name}").argtypes = [place] * 4 + [count, flag]
        getattr(library, f"ds_inclusive_scan_{name}").argtypes = [place, place, count]
        getattr(library, f"ds_reduce_{name}").argtypes = [place, place, count]
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
