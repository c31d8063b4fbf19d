"""python -m strixforge.audit PATH…: what device code is in files, folders and archives."""

import argparse
import json
import os
import sys
from pathlib import Path

from strixforge.audit.looking import Beside, Look, document, lines, look
from strixforge.audit.snapshot import RecordError, write_record

NOT_FIT = 21
"""As GateError's exit code: something does not pass."""
WRONG_USE = 2
_SHOWN = 20


def main(arguments: list[str]) -> int:
    """Print the report. Returns 0 where it passes, 21 where it does not, 2 for wrong use."""
    parser = argparse.ArgumentParser(prog="python -m strixforge.audit", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--arch", default="gfx1151", help="the GPU target (gfx1151)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--compare", type=Path, metavar="OLD", help="an earlier version, or record")
    parser.add_argument("--html", type=Path, metavar="FILE", help="the comparison as a page")
    parser.add_argument("--record", type=Path, metavar="FILE", help="to compare with later")
    parser.add_argument("--beside", default="", metavar="TARGET", help="a target that should match")
    given = parser.parse_args(arguments)
    if given.html and not given.compare:
        parser.error("--html shows a comparison: give --compare OLD too")
    if given.compare and not given.compare.exists():
        parser.error(f"there is nothing at {given.compare}")
    try:
        seen = look(given.paths, given.arch, Beside(old=given.compare, sibling=given.beside))
        _write(seen, given.record, given.html)
    except (RecordError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return WRONG_USE
    if given.json:
        print(json.dumps(document(seen), indent=1))
    else:
        _say(seen)
    return NOT_FIT if seen.findings else 0


def _write(seen: Look, record: Path | None, html: Path | None) -> None:
    if record is not None:
        write_record(seen.taken, record)
    if html is not None and seen.comparison is not None:
        from strixforge.audit.page import page

        html.write_text(page(seen.comparison, seen.findings), encoding="utf-8")


def _say(seen: Look) -> None:
    print(*lines(seen), sep="\n")
    for finding in seen.findings[:_SHOWN]:
        print(f"  {finding}")
    if len(seen.findings) > _SHOWN:
        print(f"  and {len(seen.findings) - _SHOWN} more; --json has all")
    verdict = "does not pass" if seen.findings else "passes"
    print(f"{seen.report.kernels} kernels for {seen.report.arch}: {verdict}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NOT_FIT)
