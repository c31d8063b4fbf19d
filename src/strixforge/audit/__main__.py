"""python -m strixforge.audit PATH…: what device code is in files, folders and archives."""

import argparse
import json
import os
import sys
from pathlib import Path

import msgspec

from strixforge.audit.report import SCHEMA, audit, table

NOT_FIT = 21
"""As GateError's exit code: something does not pass."""
_SHOWN = 20


def main(arguments: list[str]) -> int:
    """Print the report. Returns 0 where it passes, 21 where it does not, 2 for wrong use."""
    parser = argparse.ArgumentParser(prog="python -m strixforge.audit", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--arch", default="gfx1151", help="the GPU target (gfx1151)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args(arguments)
    report = audit(given.paths, given.arch)
    passed = not report.findings
    if given.json:
        document = {"schema": SCHEMA, "passed": passed, **msgspec.to_builtins(report)}
        print(json.dumps(document, indent=1))
        return 0 if passed else NOT_FIT
    print(*table(report), sep="\n")
    for finding in report.findings[:_SHOWN]:
        print(f"  {finding}")
    if len(report.findings) > _SHOWN:
        print(f"  and {len(report.findings) - _SHOWN} more; --json has all")
    verdict = "passes" if passed else "does not pass"
    print(f"{report.kernels} kernels for {report.arch}: {verdict}")
    return 0 if passed else NOT_FIT


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NOT_FIT)
