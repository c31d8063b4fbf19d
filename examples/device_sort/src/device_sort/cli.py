"""The command `device-sort`."""

from __future__ import annotations

import argparse
import itertools
import math
import random
import sys
from array import array
from collections.abc import Iterable

from . import (
    DeviceSortError,
    __version__,
    _library,
    inclusive_scan,
    reduce,
    sort_keys,
    sort_pairs,
)
from ._library import Array

# One element, less than a block, more than one, and enough for many blocks.
COUNTS = (1, 100, 5000, 200_000)


def main(arguments: list[str] | None = None) -> int:
    """Print the report; 0 if nothing is wrong, and the lack of a GPU is not wrong."""
    parser = argparse.ArgumentParser(
        prog="device-sort",
        description="Report on the library and the GPUs, and check what the first GPU computes.",
    )
    parser.add_argument("--version", action="version", version=f"device-sort {__version__}")
    parser.parse_args(arguments)
    print(f"device-sort {__version__}")
    print(f"library: {_library.library_path()}")
    try:
        return report()
    except _library.LibraryError as error:
        print("loaded: no")
        print(f"device-sort: {error}", file=sys.stderr)
    except DeviceSortError as error:
        print(f"device-sort: {error}", file=sys.stderr)
    return 1


def report() -> int:
    """Everything that needs the library."""
    built_for = ", ".join(_library.built_for())
    print(f"loaded: yes, with code for {built_for}, on HIP {_library.runtime_version()}")
    devices = _library.device_architectures()
    print(f"GPUs: {len(devices)}{' (' + ', '.join(devices) + ')' if devices else ''}")
    if not devices:
        print(f"{_library.no_gpu()} Nothing was run on a device.")
        return 0
    failed = False
    for count in COUNTS:
        numbers = random.Random(count)
        for bits, typecode in ((32, "I"), (64, "Q")):
            whole = array(typecode, [numbers.getrandbits(bits) for _ in range(count)])
            failed |= not verdict(whole, 2**bits)
        # Multiples of 1/1024: floats of this size add up exactly, in whatever order.
        floats = array("f", [numbers.randint(-1024, 1024) / 1024 for _ in range(count)])
        failed |= not verdict(floats, None)
    return 1 if failed else 0


def verdict(values: Array, modulus: int | None) -> bool:
    """Print one line for an array, and say whether all is well."""
    errors = {"sort": sort_error(values), "sum": sum_error(values, modulus)}
    good = not any(errors.values())
    shown = ", ".join(f"{name} {error:.3g}" for name, error in errors.items())
    name = _library.TYPES[values.typecode]
    print(f"{name} x {len(values)}: max error of {shown}: {'ok' if good else 'WRONG'}")
    return good


def sum_error(values: Array, modulus: int | None) -> float:
    """How far the scan and the sum are from Python's own, which wrap around at the modulus."""
    sums: list[float] = list(itertools.accumulate(values))
    if modulus is not None:
        sums = [total % modulus for total in sums]
    return worst([*inclusive_scan(values), reduce(values)], [*sums, sums[-1]])


def sort_error(values: Array) -> float:
    """How far the sorts are from Python's own, which keep the order of equal keys too."""
    # Half of the keys twice, so that there is an order to keep.
    keys = values + values[: len(values) // 2]
    numbers = array("I", range(len(keys)))
    errors = []
    for descending in (False, True):
        order = sorted(numbers, key=keys.__getitem__, reverse=descending)
        wanted = [keys[number] for number in order]
        sorted_keys, sorted_numbers = sort_pairs(keys, numbers, descending=descending)
        errors += [
            worst(sort_keys(keys, descending=descending), wanted),
            worst(sorted_keys, wanted),
            worst(sorted_numbers, order),
        ]
    return max(errors)


def worst(found: Iterable[float], wanted: Iterable[float]) -> float:
    """The largest difference, infinite where there is a NaN."""
    errors = [abs(x - y) for x, y in zip(found, wanted, strict=True)]
    return math.inf if any(map(math.isnan, errors)) else max(errors)
