"""How long unpacking the root trixie takes, beside dpkg-deb over the same packages.

Usage: .venv/bin/python benchmarks/unpacking.py      (build the debian stack first)
"""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from strixforge.model.lock import load_lock
from strixforge.model.packages import load_packages
from strixforge.sources.apt.unpacking import unpack_packages
from strixforge.sources.cache import Cache

HOME = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strixforge"
RUNS = 3


def main() -> None:
    """Print the best of some runs of each, and their ratio."""
    pin = load_lock(HOME / "toolchain.lock").roots["trixie"]
    packages = load_packages(HOME, pin)
    cache = Cache(CACHE)
    files = [(str(one), cache.verified(one.sha256, what=str(one))) for one in packages.package]
    ours, theirs = [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, "ours")
            target.mkdir()
            began = time.monotonic()
            unpack_packages(files, target)
            ours.append(time.monotonic() - began)
        if shutil.which("dpkg-deb"):
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                for _, path in files:
                    subprocess.run(["dpkg-deb", "--extract", str(path), folder], check=True)
                theirs.append(time.monotonic() - began)
    megabytes = packages.bytes() / 1e6
    print(f"{len(files)} packages, {megabytes:.0f} MB, {os.cpu_count()} cores")
    print(f"strixforge  {min(ours):6.1f} s  {megabytes / min(ours):6.1f} MB/s")
    if theirs:
        print(f"dpkg-deb    {min(theirs):6.1f} s  ratio {min(ours) / min(theirs):.2f}")


if __name__ == "__main__":
    main()
