"""A digest of an installed ROCm: compiler, headers, device bitcode, libraries.

A whole ROCm has 20 GB. Each file is hashed once; afterwards inode, size and times tell that it is
the same. What never reaches a build (documentation, tests) takes no part.
"""

import json
import os
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from strixforge.model.digests import document_digest, file_sha256

_LEFT_OUT = frozenset(("doc", "docs", "man", "html", "tests", "test", "clients", "samples", "info"))
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Of a distribution's /usr, only what is HIP's and LLVM's; the rest is the host's own digest.
_DISTRIBUTION = (
    *(
        "bin/hip*",
        "share/hip",
        "share/amdgcn",
        "lib/llvm-*",
        "lib64/rocm",
        "lib/clang",
        "lib/amdgcn",
    ),
    *("include/hip", "include/hsa", "include/amd_comgr", "include/roc*", "include/hipcub"),
    *("lib/x86_64-linux-gnu/cmake/*hip*", "lib/x86_64-linux-gnu/cmake/*roc*"),
    *("lib/x86_64-linux-gnu/cmake/*AMD*", "lib/x86_64-linux-gnu/cmake/amd*"),
    *("lib*/**/libamdhip64.so*", "lib*/**/libhsa-runtime64.so*", "lib*/**/libamd_comgr.so*"),
    *("lib*/**/libhiprtc*.so*", "lib*/cmake/hip*", "lib*/cmake/roc*"),
)


def toolchain_digest(folder: Path, cache: Path) -> str:
    """Return the sha256 of all files below `folder` that a build can see, and of its links.

    Of modes only whether the owner may execute counts. `cache` keeps the hash of each file, by
    inode, size and times.
    """
    kept_file = cache / "toolchains" / f"{document_digest(str(folder.resolve()))}.json"
    kept = _load(kept_file)
    files = sorted(_files(folder))
    now: dict[str, list[object]] = {}
    unknown: list[str] = []
    links: list[list[str]] = []
    programs: list[str] = []
    for path in files:
        name = path[len(str(folder)) + 1 :]
        if os.path.islink(path):  # noqa: PTH114 - tens of thousands of files
            links.append([name, os.readlink(path)])  # noqa: PTH115
            continue
        status = os.stat(path)  # noqa: PTH116
        if not _regular(status.st_mode):
            continue
        if status.st_mode & 0o100:
            programs.append(name)
        # Not the time of the content alone: archives and cp -p set that one.
        times = (status.st_mtime_ns, status.st_ctime_ns)
        mark = [status.st_ino, status.st_dev, status.st_size, *times]
        old = kept.get(name)
        if old is not None and old[:-1] == mark:
            now[name] = old
        else:
            now[name] = [*mark, ""]
            unknown.append(name)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        hashed = pool.map(lambda name: file_sha256(folder / name), unknown)
        for name, sha256 in zip(unknown, hashed, strict=True):
            now[name][-1] = sha256
    if unknown or kept.keys() != now.keys():
        _store(kept_file, now)
    hashes = [[name, entry[-1]] for name, entry in sorted(now.items())]
    return document_digest([links, programs, hashes])


def _is_distribution(folder: Path) -> bool:
    """Say whether a ROCm lies among all the other packages of a system."""
    return folder.name == "usr" or not folder.name


def _files(folder: Path) -> Iterator[str]:
    if not _is_distribution(folder.resolve()):
        yield from _below(str(folder))
        return
    for pattern in _DISTRIBUTION:
        for path in folder.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                yield from _below(str(path))
            else:
                yield str(path)


def _below(folder: str) -> Iterator[str]:
    for here, folders, names in os.walk(folder):
        linked = [name for name in folders if os.path.islink(f"{here}/{name}")]  # noqa: PTH114
        folders[:] = [name for name in folders if name not in _LEFT_OUT and name not in linked]
        for name in (*names, *linked):
            yield f"{here}/{name}"


def _regular(mode: int) -> bool:
    return (mode & 0o170000) == 0o100000


def _load(path: Path) -> dict[str, list[object]]:
    """Return what was kept, but for what is damaged."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, RecursionError, ValueError):
        return {}
    return {
        name: entry
        for name, entry in (kept.items() if isinstance(kept, dict) else ())
        if isinstance(entry, list) and entry and _SHA256.fullmatch(str(entry[-1]))
    }


def _store(path: Path, entries: dict[str, list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{uuid.uuid4().hex}")
    staged.write_text(json.dumps(entries))
    staged.replace(path)
