"""What is in one buffer: a code object, bundles, a pack, a host ELF, or a static library."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec

from strixforge.audit import aks2, archives, bundles, elf, targets
from strixforge.audit.bounds import Budget, MalformedError
from strixforge.audit.kernels import Kernel, read_kernels

_INNER_MAGICS = (elf.MAGIC, bundles.PLAIN_MAGIC, bundles.COMPRESSED_MAGIC)
MAGICS = (*_INNER_MAGICS, archives.AR_MAGIC, aks2.MAGIC)
# Names under which device code is shipped; with contents we do not know they are a finding.
DEVICE_SUFFIXES = (".hsaco", ".co", ".kpack", ".aks2")
KPACK = "a kpack archive: which kernels it holds cannot be read yet"
"""Why an archive of newer releases of TheRock is unreadable."""
# One wrapper for each bundle: magic, version, bundle, unused; llvm/llvm-project,
# clang/lib/CodeGen/CGCUDANV.cpp, `makeModuleCtorFunction`. The sizes were checked on real files.
_WRAPPER_SIZE = 24
_RDC_PREFIX = bundles.PLAIN_MAGIC.decode()
SECTIONS = (".hip_fatbin", ".llvm.offloading", _RDC_PREFIX)
"""How the names of sections with device code begin."""
_OFFLOAD_KINDS = ("hip-", "hipv4-", "openmp-")


class CodeObject(msgspec.Struct, frozen=True, tag=True):
    """One code object.

    `where`: path, then `!` and zip or archive member, section, bundle ordinal, bundle entry.
    `target`: what the ELF header states, such as `gfx1151` or `gfx90a:sramecc+:xnack-`.
    `label`: the id of its bundle entry, if it came from a bundle. `size`: bytes of the ELF image.
    `kernels`: in the order of the metadata; names are mangled, where the language mangles. None of
    a target that was not asked for.
    """

    where: str
    target: str
    label: str | None
    size: int
    kernels: tuple[Kernel, ...]


class Unreadable(msgspec.Struct, frozen=True, tag=True):
    """Something that may hold device code and could not be read: where, and why."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class NoDeviceCode:
    """A file that was looked at and holds no device code: what it is, as far as an audit asks."""

    where: str
    kind: str
    """`program` (an ELF of the host), `static library`, `Tensile solutions` or `other`."""


Finding = CodeObject | Unreadable
Seen = CodeObject | Unreadable | NoDeviceCode


def printable(text: str) -> str:
    """Escape what a terminal or an encoder would choke on: names come from the input."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


class Elsewhere(Protocol):
    """Something that has perhaps read a bundle already."""

    def found(self, ordinal: int, bundle: bundles.Bundle) -> list[Finding] | None:
        """Return what it found in a library's bundle; None where it is to be read here."""


def read(
    data: memoryview, where: str, budget: Budget, elsewhere: Elsewhere | None = None
) -> Iterator[Finding]:
    """Yield the code objects in a buffer that starts with one of `MAGICS`.

    Damage of any kind yields `Unreadable`, and ends the buffer when what follows cannot be found.
    Decompressed bytes are taken from `budget`.
    """
    try:
        if data[: len(archives.AR_MAGIC)] == archives.AR_MAGIC:
            yield from _static_library(data, where, budget)
        elif data[: len(aks2.MAGIC)] == aks2.MAGIC:
            for name, kernel in aks2.members(data, budget):
                yield _code_object(
                    _device_image(kernel), f"{where}!{printable(name)}", None, budget
                )
        elif data[: len(elf.MAGIC)] != elf.MAGIC:
            for ordinal, bundle in bundles.walk(data, budget):
                yield from read_bundle(bundle, f"{where}!{ordinal}", budget)
        else:
            image = elf.Elf(data)
            if image.machine == elf.EM_AMDGPU:
                yield _code_object(image, where, None, budget)
            else:
                yield from _host(image, where, budget, elsewhere)
    except MalformedError as error:
        yield Unreadable(where, str(error))


def unrecognised(where: str, *, is_empty: bool) -> Iterator[Unreadable]:
    """Yield `Unreadable` when contents that start with no known magic are named as device code."""
    name = where.lower()
    if name.endswith(DEVICE_SUFFIXES):
        if is_empty:
            yield Unreadable(where, "named as device code, and empty")
        elif name.endswith(".kpack"):
            yield Unreadable(where, KPACK)
        else:
            yield Unreadable(where, "named as device code, but its format is not known")


def _static_library(data: memoryview, where: str, budget: Budget) -> Iterator[Finding]:
    for name, member in archives.ar_members(data):
        inner = f"{where}!{printable(name)}"
        # An archive inside an archive is not something compilers write.
        if bytes(member[: len(bundles.PLAIN_MAGIC)]).startswith(_INNER_MAGICS):
            yield from read(member, inner, budget)
        else:
            yield from unrecognised(inner, is_empty=not len(member))


def embedded(
    image: elf.Elf, where: str, budget: Budget
) -> Iterator[tuple[int, str, bundles.Bundle]]:
    """Yield each bundle of a host program or library: its ordinal in the file, where, and itself.

    Raises `MalformedError` where what follows cannot be found.
    """
    size = count = 0
    for section in image.sections():
        if section.name.startswith((".hip_fatbin", _RDC_PREFIX)):
            size += len(section.data)
            if size > len(image.data):
                raise MalformedError("sections with device code overlap")
        if section.name.startswith(".hip_fatbin"):
            for ordinal, bundle in bundles.walk(section.data, budget):
                yield count, f"{where}!{printable(section.name)}!{ordinal}", bundle
                count += 1


def _host(
    image: elf.Elf, where: str, budget: Budget, elsewhere: Elsewhere | None
) -> Iterator[Finding]:
    """Scan the sections of a host program, library or object in which device code is embedded."""
    if not image.has_sections:
        raise MalformedError(
            "a host ELF without sections: embedded device code cannot be ruled out"
        )
    wrappers = count = 0
    for ordinal, inner, bundle in embedded(image, where, budget):
        known = None if elsewhere is None else elsewhere.found(ordinal, bundle)
        yield from read_bundle(bundle, inner, budget) if known is None else known
        count += 1
    for section in image.sections():
        if section.name == ".hipFatBinSegment":
            wrappers += len(section.data)
        elif not section.name.startswith(".hip_fatbin"):
            yield from _other_section(section, where, budget)
    if wrappers != count * _WRAPPER_SIZE:
        yield Unreadable(
            where,
            f"{count} bundles in .hip_fatbin, but .hipFatBinSegment has {wrappers} bytes,"
            f" {_WRAPPER_SIZE} for each",
        )


def _other_section(section: elf.Section, where: str, budget: Budget) -> Iterator[Finding]:
    # Objects of `-fgpu-rdc` hold one entry in each such section. Other compilers (SPIR-V) name
    # sections so too.
    label = section.name.removeprefix(_RDC_PREFIX)
    if label != section.name and label.startswith(_OFFLOAD_KINDS):
        yield _entry(bundles.Entry(label, section.data), where, budget)
    elif section.name == ".llvm.offloading":
        yield Unreadable(f"{where}!{section.name}", "LLVM offload binaries are not read")


def read_bundle(bundle: bundles.Bundle, where: str, budget: Budget) -> Iterator[Finding]:
    """Yield what is in one bundle. Raises `MalformedError` where it cannot be unpacked."""
    for entry in bundle.entries():
        if not entry.is_empty_host:
            yield _entry(entry, where, budget)


def _entry(entry: bundles.Entry, where: str, budget: Budget) -> Finding:
    label = printable(entry.label)
    where = f"{where}!{label}"
    try:
        return _code_object(_device_image(entry.data), where, label, budget)
    except MalformedError as error:
        return Unreadable(where, str(error))


def _device_image(data: memoryview) -> elf.Elf:
    if data[: len(elf.MAGIC)] != elf.MAGIC:
        raise MalformedError(f"no ELF image: it starts with {bytes(data[:4])!r}")
    image = elf.Elf(data)
    if image.machine != elf.EM_AMDGPU:
        raise MalformedError(f"ELF machine {image.machine} is not AMDGPU ({elf.EM_AMDGPU})")
    return image


def _code_object(image: elf.Elf, where: str, label: str | None, budget: Budget) -> CodeObject:
    if not (image.wide and image.little_endian):
        raise MalformedError("an AMDGPU ELF that is not 64-bit little-endian")
    target = targets.target_of(image.flags, image.os_abi, image.abi_version)
    if label is not None and not targets.label_agrees(label, target, image.abi_version):
        raise MalformedError(f"the bundle says {label}, its ELF header says {target}")
    archs = budget.archs
    asked = not archs or any(targets.covers(target, arch) for arch in archs)
    kernels = read_kernels(image, target) if asked else ()
    return CodeObject(where, target, label, len(image.data), kernels)
