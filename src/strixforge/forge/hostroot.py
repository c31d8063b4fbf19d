"""What of the host can change an output when the sandbox shows the host's own system.

Compiler, assembler, linker, libc, headers and Python. The files are hashed once; afterwards a
signature of names, sizes and times tells whether that digest still holds.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path

from strixforge.model.digests import document_digest, file_sha256
from strixforge.model.errors import HostError

_TOOLS = (
    *("cc", "c++", "gcc", "g++", "cpp", "ld", "as", "ar", "ranlib", "strip", "objcopy"),
    *("bash", "sh", "make", "sed", "awk", "grep", "perl", "git", "cmake", "ninja", "pkg-config"),
)
# Beside libc.so.6: what every link takes in.
_LINKED = (
    *("libc.so", "libc.a", "libc_nonshared.a", "libm.so", "libm.a", "libpthread.a", "libdl.a"),
    *("Scrt1.o", "crt1.o", "crti.o", "crtn.o", "gcrt1.o"),
)
# Libraries that hold the code of compilers, assemblers and linkers.
_CODE = (
    *("libbfd-*.so*", "libopcodes-*.so*", "libctf*.so*", "libLLVM*.so*", "libclang*.so*"),
    *("libisl.so*", "libmpc.so*", "libmpfr.so*", "libgmp.so*"),
)
SYSTEM_PATH = "/usr/bin:/bin"
"""Where a sandbox looks for the host's tools; /usr/local is not shown."""


def host_root(cache: Path) -> dict[str, str]:
    """Return the root's part of a key document: kind, compiler, system digest, Python.

    `cache` keeps the digest from run to run. Raises HostError when there is no C++ compiler.
    """
    compiler = shutil.which("c++", path=SYSTEM_PATH)
    if compiler is None:
        raise HostError(
            "there is no C++ compiler.",
            where=f"c++ on {SYSTEM_PATH}",
            fix="Debian, Ubuntu: apt install g++    Fedora: dnf install gcc-c++\n"
            "Arch: pacman -S gcc",
        )
    return {
        "kind": "host",
        "system": _system_digest(compiler, cache),
        "python": _python_digest(),
    }


def python_home() -> Path:
    """Return the folder of the Python that ./doit was made with: the stack's Python."""
    return Path(sys.base_prefix)


def python_binary() -> Path:
    """Return that Python itself."""
    return python_home() / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"


def _system_digest(compiler: str, cache: Path) -> str:
    files = sorted(set(_system_files(compiler)))
    signature = hashlib.sha256()
    present = []
    for path in files:
        try:
            status = os.stat(path)  # noqa: PTH116 - thousands of files at each start
        except OSError:
            continue  # a dangling link among the headers
        present.append(path)
        signature.update(
            f"{path}\0{status.st_ino} {status.st_size} {status.st_mtime_ns}\n".encode()
        )
    kept = cache / "host" / f"{signature.hexdigest()}.json"
    try:
        return str(json.loads(kept.read_text())["digest"])
    except (OSError, json.JSONDecodeError, KeyError):
        pass
    digest = document_digest([[path, file_sha256(Path(path))] for path in present])
    kept.parent.mkdir(parents=True, exist_ok=True)
    staged = kept.with_suffix(f".{uuid.uuid4().hex}")
    staged.write_text(json.dumps({"digest": digest, "files": len(present)}))
    staged.replace(kept)
    return digest


def _system_files(compiler: str) -> Iterator[str]:
    for name in _TOOLS:
        found = shutil.which(name, path=SYSTEM_PATH)
        if found:
            yield os.path.realpath(found)
    libgcc = _ask(compiler, "-print-libgcc-file-name")
    libc = _ask(compiler, "-print-file-name=libc.so.6")
    if not libgcc or not libc:
        raise HostError(
            "the C++ compiler does not say where its libraries are.",
            where=compiler,
            fix="Reinstall the compiler; it must answer to -print-libgcc-file-name.",
        )
    folders = {libgcc.parent}
    # Debian keeps cc1plus beside libgcc, Ubuntu and Fedora in a folder of its own.
    for asked in ("-print-prog-name=cc1plus", "-print-resource-dir"):
        answer = _ask(compiler, asked)
        if answer:
            folders.add(answer if answer.is_dir() else answer.parent)
    for folder in sorted(folders):
        yield from _below(str(folder))
    yield str(libc)
    yield from (str(libc.parent / name) for name in _LINKED)
    yield from (str(path) for pattern in _CODE for path in libc.parent.glob(pattern))
    yield from _below("/usr/include")
    yield from _below(sysconfig.get_path("include"))


def _ask(compiler: str, argument: str) -> Path | None:
    """Return the path that a compiler answers; a bare name means that there is no such file.

    The user's environment takes no part: GCC_EXEC_PREFIX and its like are not in the sandbox.
    """
    answer = subprocess.run(
        [compiler, argument],
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return Path(os.path.realpath(answer)) if answer.startswith("/") else None


def _below(folder: str) -> Iterator[str]:
    for here, _, names in os.walk(folder):
        for name in names:
            yield f"{here}/{name}"


def _python_digest() -> str:
    """Name the Python build: its binary, its library, and what it tells extension builds."""
    binary = python_binary()
    library = python_home() / "lib" / str(sysconfig.get_config_var("LDLIBRARY") or "")
    return document_digest(
        {
            "version": sys.version,
            "binary": file_sha256(binary.resolve()),
            "library": file_sha256(library.resolve()) if library.is_file() else "",
            "build": {k: str(v) for k, v in sysconfig.get_config_vars().items() if k not in _OURS},
        }
    )


# sysconfig's values that name the virtual environment or the user instead of the build.
_OURS = frozenset(
    {"prefix", "exec_prefix", "base", "platbase", "userbase", "srcdir", "projectbase"}
)
