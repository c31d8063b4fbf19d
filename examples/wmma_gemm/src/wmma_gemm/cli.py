"""The command `wmma-gemm`."""

from __future__ import annotations

import argparse
import math
import random
import struct
import sys

from . import WmmaGemmError, __version__, _library, gemm, halves

# One element, one tile, one block, and sizes that fill neither tiles nor blocks.
SHAPES = ((1, 1, 1), (16, 16, 16), (128, 128, 32), (67, 131, 45), (150, 20, 100))


def main(arguments: list[str] | None = None) -> int:
    """Print the report; 0 if nothing is wrong, and the lack of a GPU is not wrong."""
    parser = argparse.ArgumentParser(
        prog="wmma-gemm",
        description="Report on the library and the GPUs, and check the products of the first GPU.",
    )
    parser.add_argument("--version", action="version", version=f"wmma-gemm {__version__}")
    parser.parse_args(arguments)
    print(f"wmma-gemm {__version__}")
    print(f"library: {_library.library_path()}")
    try:
        return report()
    except _library.LibraryError as error:
        print("loaded: no")
        print(f"wmma-gemm: {error}", file=sys.stderr)
    except WmmaGemmError as error:
        print(f"wmma-gemm: {error}", file=sys.stderr)
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
    for m, n, k in SHAPES:
        for wmma in (True, False):
            worst, allowed = check(m, n, k, wmma=wmma)
            # Not "greater than": a NaN is an error too.
            verdict = "ok" if worst <= allowed else "WRONG"
            failed |= verdict != "ok"
            kernel = "WMMA " if wmma else "plain"
            print(
                f"{kernel} {m} x {n} x {k}: max error {worst:.3g}, {allowed:.3g} allowed: {verdict}"
            )
    return 1 if failed else 0


def check(m: int, n: int, k: int, *, wmma: bool) -> tuple[float, float]:
    """The largest error of a product, and the largest that rounding to floats explains."""
    numbers = random.Random(f"{m} {n} {k}")
    a, b = some_halves(numbers, m * k), some_halves(numbers, k * n)
    product = gemm(a, b, m=m, n=n, k=k, wmma=wmma)
    return compare(a, b, product.tolist(), (m, n, k))


def some_halves(numbers: random.Random, count: int) -> bytes:
    """Multiples of 1/1024 from -1 to 1: exact as halves, and none of them denormal."""
    return halves(numbers.randint(-1024, 1024) / 1024 for _ in range(count))


def compare(
    a: bytes, b: bytes, product: list[float], shape: tuple[int, int, int]
) -> tuple[float, float]:
    """As `check`, for a product that is there already."""
    m, n, k = shape
    a_values, b_values = struct.unpack(f"={m * k}e", a), struct.unpack(f"={k * n}e", b)
    lines = [a_values[i * k : (i + 1) * k] for i in range(m)]
    columns = [b_values[j::n] for j in range(n)]
    errors, sizes = [], []
    for i, line in enumerate(lines):
        for j, column in enumerate(columns):
            # A product of two halves is exact in Python's floats, and so is fsum but for one step.
            terms = [x * y for x, y in zip(line, column, strict=True)]
            errors.append(abs(product[i * n + j] - math.fsum(terms)))
            sizes.append(math.fsum(map(abs, terms)))
    worst = math.inf if any(map(math.isnan, errors)) else max(errors)
    # Each of the k sums may be off by the last bit of a float.
    return worst, max(sizes) * k * 2.0**-23
