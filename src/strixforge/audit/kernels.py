"""What the metadata and symbols of one code object say of each kernel in it.

Sources: llvm/docs/AMDGPUUsage.rst of ROCm/llvm-project at commit
dce84f8c7b92e5fb9352a26c1e87a29e8f33786f, "Code Object V3 Metadata" and later: the keys of
`amdhsa.kernels`, and the symbol of a kernel's code beside the one of its descriptor, `<name>.kd`.
"""

from dataclasses import dataclass

import msgspec

from strixforge.audit import elf
from strixforge.audit.bounds import MalformedError
from strixforge.audit.targets import target_of


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, as its code object states it."""

    name: str
    vgprs: int
    """Vector registers of a work-item."""
    sgprs: int
    vgpr_spills: int
    """Registers spilled by the kernel's own body; those of functions it calls show as scratch."""
    scratch: int
    """Bytes of private memory for each work-item."""
    lds: int
    """Bytes of local memory for each workgroup, as far as it is known when compiled."""
    wavefront: int
    """Work-items of a wave: 32 or 64."""
    text: int
    """Bytes of its machine code; 0 where the symbol table does not tell."""


class _Entry(msgspec.Struct):
    name: str = msgspec.field(name=".name")
    vgprs: int = msgspec.field(name=".vgpr_count", default=0)
    sgprs: int = msgspec.field(name=".sgpr_count", default=0)
    spills: int = msgspec.field(name=".vgpr_spill_count", default=0)
    scratch: int = msgspec.field(name=".private_segment_fixed_size", default=0)
    lds: int = msgspec.field(name=".group_segment_fixed_size", default=0)
    wavefront: int = msgspec.field(name=".wavefront_size", default=0)


class _Metadata(msgspec.Struct):
    kernels: list[_Entry] = msgspec.field(name="amdhsa.kernels", default_factory=list)


def read_kernels(image: memoryview) -> tuple[str, tuple[Kernel, ...]]:
    """Return (target, kernels) of a code object, in the order of its metadata.

    Raises `MalformedError` for what is no AMDGPU code object, or has metadata that cannot be read.
    """
    parsed = elf.Elf(image)
    if parsed.machine != elf.EM_AMDGPU:
        raise MalformedError("not an AMDGPU code object")
    entries: list[_Entry] = []
    for note in parsed.notes(b"AMDGPU", elf.NT_AMDGPU_METADATA):
        try:
            metadata = msgspec.msgpack.decode(note, type=_Metadata)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedError(f"the kernel metadata cannot be read: {error}") from None
        entries += metadata.kernels
    sizes = parsed.symbol_sizes({one.name for one in entries})
    kernels = tuple(
        Kernel(
            name=one.name,
            vgprs=one.vgprs,
            sgprs=one.sgprs,
            vgpr_spills=one.spills,
            scratch=one.scratch,
            lds=one.lds,
            wavefront=one.wavefront,
            text=sizes.get(one.name, 0),
        )
        for one in entries
    )
    return target_of(parsed.flags, parsed.os_abi, parsed.abi_version), kernels
