"""What is the same file, and the same kernel, in another version or for another target.

Names carry versions: of a wheel, a soname, a Python, a library's inline namespace. They are taken
off here, so that what was built from a newer source is held against what it replaces.

Sources: PEP 427, the parts of a wheel's name. llvm/llvm-project, clang/lib/CodeGen/
CodeGenModule.cpp, `printPostfixForExternalizedDecl`: `.intern.` or `.static.` and a hash of the
source's path and the compiler's options after the name of an internal kernel. rocPRIM,
`ROCPRIM_INLINE_NAMESPACE`: ROCPRIM_304000_NS; rocThrust and hipCUB name theirs in the same way.
Names of Tensile's kernels hold the problem, then the tuning from the macro tile `_MT64x32x32` on;
in libhipblaslt1 7.1.1 of Debian all but helpers are so.
"""

import functools
import re

_ARCHIVES = r"whl|zip|deb|tar(?:\.\w+)?|tgz|txz|tzst"
_WHEEL = re.compile(r"([^-]+)-[^/!]*\.whl", re.IGNORECASE)
_DEB = re.compile(r"([^_]+)_[^/!]*\.deb", re.IGNORECASE)
_OTHER = re.compile(rf"(.+?)(?:[-_]v?\d[^/!]*?)?\.(?:{_ARCHIVES})", re.IGNORECASE)
# What comes after a number with a dot: libx.so.1.2, rocm-6.4.4, torch-2.8.0.dist-info.
_SONAME = re.compile(r"\.so(?:\.\d+)+")
_VERSION = re.compile(r"[-_]v?\d+(?:\.\d+)+[^/!]*?(?=\.(?:dist-info|data|libs)\b|[/!]|$)")
_ABI = re.compile(r"\.(?:cpython-\d+[^./!]*|abi3)(?=\.so)")

_INTERNAL = re.compile(r"\.(?:intern|static)\.[0-9a-f]+$")
_NAMESPACE = re.compile(r"(\d+)((?:ROCPRIM|HIPCUB|CUB|THRUST)_)\d{4,}(_[0-9A-Za-z_]*?NS)")
_TENSILE = re.compile(r"(Cijk_.*?)_MT\d+x\d+.*")


@functools.lru_cache(maxsize=4096)
def package(file: str) -> str:
    """Return the archive that a file came in, without its version; nothing where it lay bare."""
    *archives, _ = file.split("!")
    name = archives[-1].rsplit("/", 1)[-1] if archives else ""
    wheel, deb, other = (one.fullmatch(name) for one in (_WHEEL, _DEB, _OTHER))
    if wheel:
        return re.sub(r"[-_.]+", "-", wheel[1]).lower()
    match = deb or other
    return match[1] if match else name


@functools.lru_cache(maxsize=4096)
def file_identity(file: str) -> str:
    """Return what a file is called in every version of what it came in.

    Where the innermost archive lies does not count: a wheel alone, in a folder or in a bundle is
    the same wheel.
    """
    inner = file.rsplit("!", 1)[-1].removeprefix("./")
    for pattern, by in ((_SONAME, ".so"), (_ABI, ""), (_VERSION, "")):
        inner = pattern.sub(by, inner)
    return f"{package(file)}!{inner}"


def kernel_identity(name: str) -> str:
    """Return a kernel's name without what another compilation or library release changes in it."""
    # Every version's number has as many digits, or the length before the name differs too.
    return _NAMESPACE.sub(r"#\2#\3", _INTERNAL.sub("", name))


def problem(name: str) -> str:
    """Return the problem that one of Tensile's kernels solves, without its tuning; else nothing.

    Which tuning is best is measured for each GPU and release, so other kernels take their places.
    """
    match = _TENSILE.fullmatch(name)
    return match[1] if match else ""


def without_target(name: str, target: str) -> str:
    """Return a name with its target taken out: …-gfx1100.co and …_ISA1100_… name theirs."""
    number = re.escape(target.removeprefix("gfx"))
    return re.sub(rf"(gfx|ISA){number}(?![0-9a-f])", r"\1*", name)
