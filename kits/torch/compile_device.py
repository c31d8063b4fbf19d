"""Compiles every HIP source of a build that CMake has configured for ninja, and nothing else.

CMake must have been given the launcher `device-only`, so that each object is a code object. They
are put into the out folder under the names of their sources, with the seconds that each took.

Usage: compile_device.py BUILD OUT [--only PATTERN ...]
"""

import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TARGET = re.compile(r"^(?P<object>\S+\.hip\.o): HIP_COMPILER\S*$", re.MULTILINE)
# CMakeFiles/_C.dir/csrc/cache_kernels.hip.o: the target that it belongs to, and the source.
PLACE = re.compile(r"CMakeFiles/(?P<target>[^/]+)\.dir/(?P<source>.+)\.o")


def main() -> int:
    """Compile; return the exit code of ninja."""
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    listed = subprocess.run(
        ["ninja", "-C", given.build, "-t", "targets", "all"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    objects = sorted(set(TARGET.findall(listed.stdout)))
    if given.only:
        objects = [one for one in objects if any(fnmatch.fnmatch(one, p) for p in given.only)]
    if not objects:
        sys.exit(f"{given.build} is configured to compile no HIP source")
    print(f"{len(objects)} HIP sources", flush=True)
    jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "1")
    done = subprocess.run(
        ["ninja", "-C", given.build, "-k", "0", "-j", jobs, *objects], check=False
    )
    collect(given.build, given.out, objects)
    return done.returncode


def collect(build: Path, out: Path, objects: list[str]) -> None:
    """Put the code objects that were made into `out`, and how long each took."""
    seconds = times(build / ".ninja_log")
    lines = []
    for name in objects:
        match = PLACE.fullmatch(name)
        if match is None:
            sys.exit(f"{name} is not where CMake puts the objects of a target")
        if not (build / name).is_file():
            continue  # it did not compile; ninja has said so
        place = f"{match['target']}/{match['source'].removesuffix('.hip')}.co"
        (out / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(build / name, out / place)
        lines.append(f"{seconds.get(name, 0):.1f}\t{place}\n")
    (out / "seconds.tsv").write_text("".join(lines), encoding="utf-8")


def times(log: Path) -> dict[str, float]:
    """Return how long ninja took for each output, seconds: its log has start and end, in ms."""
    found = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if len(fields) == 5:
            found[fields[3]] = (int(fields[1]) - int(fields[0])) / 1000
    return found


if __name__ == "__main__":
    sys.exit(main())
