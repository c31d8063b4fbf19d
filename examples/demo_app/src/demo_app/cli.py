"""The command `strixforge-demo`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict, fields
from importlib.metadata import version

import fastpath
import setproctitle

from .code_object import CodeObjectError, Kernel, read_kernels

PACKAGES = ("demo_app", "fastpath", "msgpack", "pyelftools", "setproctitle")


def main(arguments: list[str] | None = None) -> int:
    """Print the report; 0 if there is nothing to complain about."""
    parser = argparse.ArgumentParser(
        prog="strixforge-demo",
        description="Load the whole demo stack and report every GPU kernel in it, as JSON.",
    )
    parser.add_argument("--table", action="store_true", help="print a table instead")
    options = parser.parse_args(arguments)
    try:
        kernels = all_kernels()
    except (CodeObjectError, fastpath.ImageError) as error:
        print(f"strixforge-demo: {error}", file=sys.stderr)
        return 1

    targets = ", ".join(sorted({kernel.target for kernel in kernels}))
    setproctitle.setproctitle(f"strixforge-demo: {len(kernels)} kernels for {targets}")
    if options.table:
        print(table(kernels))
        return 0
    report = {
        "kernels": [asdict(kernel) for kernel in kernels],
        "process_title": setproctitle.getproctitle(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
    }
    print(json.dumps(report, indent=2, sort_keys=True))
    return 0


def all_kernels() -> list[Kernel]:
    """Every kernel of every image. No kernel at all is an error: nobody wants such a build."""
    kernels = [
        kernel
        for image in fastpath.images()
        for kernel in read_kernels(image.name, fastpath.image_bytes(image.name), image.isa)
    ]
    if not kernels:
        raise CodeObjectError("the images hold no kernel")
    return kernels


def table(kernels: list[Kernel]) -> str:
    """One line a kernel, text to the left and figures to the right."""
    rows = [[str(value) for value in asdict(kernel).values()] for kernel in kernels]
    heads = [field.name for field in fields(Kernel)]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if rows[0][index].isdigit() else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [heads, *rows]
    ]
    return "\n".join(lines)
