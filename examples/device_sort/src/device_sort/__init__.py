"""Sorts, scans and sums arrays on an AMD GPU, with rocPRIM.

An array is an array.array of "I" (32 bits), "Q" (64 bits) or "f". Importing this needs neither a
GPU nor the HIP runtime; the first call looks for both.
"""

from __future__ import annotations

from importlib.metadata import version

from ._library import (
    DeviceSortError,
    GpuError,
    LibraryError,
    NoGpuError,
    device_architectures,
    inclusive_scan,
    library_path,
    reduce,
    runtime_version,
    sort_keys,
    sort_pairs,
)

__all__ = [
    "DeviceSortError",
    "GpuError",
    "LibraryError",
    "NoGpuError",
    "device_architectures",
    "inclusive_scan",
    "library_path",
    "reduce",
    "runtime_version",
    "sort_keys",
    "sort_pairs",
]

__version__ = version("device_sort")
