"""How fast an audit reads device code, plain and compressed, and how much memory it takes.

Usage: .venv/bin/python benchmarks/audit.py      (fetches hipBLASLt of Debian's sid, 160 MB, once)

The code objects are real, hipBLASLt's for the GPUs of one family; the libraries around them are
made here. Each figure is the best of some runs over a file that is in the page cache.
"""

import gc
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME))

from tests.debian.packages import fetched  # noqa: E402
from tests.unit.test_codeobjects import bundle, elf_image  # noqa: E402

from strixforge.audit import bundles  # noqa: E402 - the tests' helpers are beside, not installed
from strixforge.audit.bounds import Budget, MalformedError  # noqa: E402
from strixforge.audit.files import collect  # noqa: E402
from strixforge.sources.apt.unpacking import unpack_packages  # noqa: E402

PACKAGE = "libhipblaslt1"
FAMILY = ("gfx1100", "gfx1101", "gfx1102", "gfx1103", "gfx1150", "gfx1151")
"""A library for a family, as releases for several GPUs are built."""
ARCH = "gfx1151"
SIZE = 1_000_000_000
"""Bytes of device code in a library, unpacked."""
LEVEL = 3
"""clang's own; llvm/lib/Support/Compression.cpp, zstd::DefaultCompression is 5, clang sets 3."""
RUNS = 5
_LABEL = "hipv4-amdgcn-amd-amdhsa--"
_WATCHED = """
import re, sys
from strixforge.audit.__main__ import main
assert main(sys.argv[1:]) == 0
print(re.search("VmHWM:.*", open("/proc/self/status").read())[0])
"""
_SECOND = """
import re, sys
from strixforge.audit.sharing import main
main(*sys.argv[1:])
print(re.search("VmHWM:.*", open("/proc/self/status").read())[0], file=sys.stderr)
"""
_HEADER = struct.Struct("<4sHHIIQ")


def main() -> None:
    """Print GB/s, ratios and peak memory, for a library of a family and for one of our target."""
    gc.freeze()  # an audit's own process does not hold the tests' modules
    for targets in (FAMILY, (ARCH,)):
        with tempfile.TemporaryDirectory() as folder:
            _compare(Path(folder), targets)


def _compare(place: Path, targets: tuple[str, ...]) -> None:
    made = list(_bundles(place, targets))
    plain, packed = place / "plain.so", place / "packed.so"
    frames = [zstandard.ZstdCompressor(level=LEVEL).compress(one) for one in made]
    _library(plain, made)
    _library(packed, [_compressed(*one) for one in zip(frames, made, strict=True)])
    size = sum(map(len, made))
    print(f"{len(made)} bundles for {', '.join(targets)}: {size / 1e9:.2f} GB of device code")
    del made
    _say("plain", size, _best(lambda: _survey(plain)), _peak(plain))
    compressed = _best(lambda: _survey(packed))
    _say("compressed", size, compressed, _peak(packed) + _peak_of_second(packed))
    with _one_core():
        alone = _best(lambda: _survey(packed))
        _say("compressed, one core", size, alone, _peak(packed))
    zstd = _best(lambda: _unpack(frames))
    _say("zstd alone", size, zstd, 0)
    both, one = zstd / compressed, zstd / alone
    print(f"compressed: {both:.0%} of zstd's own speed, {one:.0%} on one core")
    for name, words in _others(plain):
        took = _best(lambda words=words: subprocess.run(  # type: ignore[misc]
            words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ))  # fmt: skip
        _say(name, size, took, 0)


def _bundles(place: Path, targets: tuple[str, ...]) -> Iterator[bytes]:
    """Yield bundles with one code object of each target, until they are large enough."""
    unpack_packages([(PACKAGE, fetched(PACKAGE))], place)
    objects: dict[str, list[bytes]] = {target: [] for target in targets}
    for path in sorted(place.rglob("*")):
        target = next((one for one in targets if f"{one}." in path.name), "")
        if not target or path.suffix not in (".co", ".hsaco"):
            continue
        try:
            for _, bundled in bundles.walk(memoryview(path.read_bytes()), Budget(1 << 40)):
                for entry in bundled.entries():
                    if entry.label.endswith(target) and len(entry.data):
                        objects[target].append(bytes(entry.data))
        except MalformedError:
            objects[target].append(path.read_bytes())  # not bundled
    shutil.rmtree(place / "usr")
    done = number = 0
    while done < SIZE:
        parts = [(_LABEL + one, objects[one][number % len(objects[one])]) for one in targets]
        made = bundle(("host-x86_64-unknown-linux-gnu-", b""), *parts)
        yield made
        done, number = done + len(made), number + 1


def _library(place: Path, images: list[bytes]) -> None:
    fat = b"".join(one + bytes(-len(one) % 4096) for one in images)
    wrappers = bytes(24 * len(images))
    place.write_bytes(elf_image(62, [(".hip_fatbin", 1, fat), (".hipFatBinSegment", 1, wrappers)]))


def _compressed(frame: bytes, plain: bytes) -> bytes:
    size = _HEADER.size + len(frame)
    return _HEADER.pack(b"CCOB", 2, 1, size, len(plain), 0) + frame


def _survey(path: Path) -> None:
    found = collect([path], [ARCH])
    (file,) = found.files.values()
    assert file.objects, path
    assert not file.unreadable, path


def _unpack(frames: list[bytes]) -> None:
    for one in frames:
        zstandard.ZstdDecompressor().decompress(one)


def _best(work: Callable[[], object]) -> float:
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def _peak(path: Path) -> int:
    """Return the largest resident memory of an audit in a process of its own, in bytes.

    From /proc: what getrusage tells of a child begins with the memory of its parent.
    """
    words = [sys.executable, "-c", _WATCHED, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-2]) * 1024


def _peak_of_second(path: Path) -> int:
    """Return the same for the process that reads half of the bundles."""
    with path.open("rb") as stream:
        words = [sys.executable, "-c", _SECOND, str(stream.fileno()), str(1 << 40), "lib", ARCH]
        done = subprocess.run(
            words, capture_output=True, text=False, check=True, pass_fds=[stream.fileno()]
        )
    return int(done.stderr.split()[-2]) * 1024


@contextmanager
def _one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(cores)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _say(name: str, size: int, took: float, peak: int) -> None:
    memory = f"   {peak / 1e6:.0f} MB at most" if peak else ""
    print(f"{name:<24} {took:6.2f} s  {size / took / 1e9:6.2f} GB/s{memory}")


def _others(library: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield what LLVM here has to list device code with. It only names targets, no kernels."""
    path = os.pathsep.join(
        [*map(str, sorted(Path("/usr/lib").glob("llvm-*/bin"), reverse=True)), os.environ["PATH"]]
    )
    objdump = shutil.which("llvm-objdump", path=path)
    if (
        objdump
        and "--offloading"
        in subprocess.run([objdump, "--help"], capture_output=True, text=True, check=False).stdout
    ):
        yield "llvm-objdump --offloading", [objdump, "--offloading", str(library)]
    bundler, objcopy = (
        shutil.which(one, path=path) for one in ("clang-offload-bundler", "llvm-objcopy")
    )
    if bundler and objcopy:
        section = library.with_name("section")
        subprocess.run(
            [objcopy, "--dump-section", f".hip_fatbin={section}", str(library), "/dev/null"],
            check=True,
        )
        words = [bundler, "--list", "--type=o", f"--input={section}"]
        yield "clang-offload-bundler", words


if __name__ == "__main__":
    main()
