"""What the metadata and symbols of one code object say of each kernel in it.

Sources: llvm/docs/AMDGPUUsage.rst of ROCm/llvm-project at commit
dce84f8c7b92e5fb9352a26c1e87a29e8f33786f, "Code Object V3 Metadata" and later: the keys of
`amdhsa.kernels`, and the symbol of a kernel's code beside the one of its descriptor, `<name>.kd`.
"""

import msgspec

from strixforge.audit import elf
from strixforge.audit.bodies import Body, classify
from strixforge.audit.bounds import MalformedError

_NOTHING = memoryview(b"")


class Kernel(msgspec.Struct, frozen=True):
    """One kernel, as its code object states it.

    A Struct of msgspec: a large library has a hundred thousand, and a dataclass takes five times
    as long to make.
    """

    name: str
    vgprs: int
    """Vector registers of a work-item."""
    sgprs: int
    vgpr_spills: int
    """Registers spilled by the kernel's own body; those of functions it calls show as scratch."""
    sgpr_spills: int
    scratch: int
    """Bytes of private memory for each work-item."""
    lds: int
    """Bytes of local memory for each workgroup, as far as it is known when compiled."""
    wavefront: int
    """Work-items of a wave: 32 or 64."""
    text: int
    """Bytes of its machine code; 0 where the symbol table does not tell."""
    body: Body

    @property
    def is_hollow(self) -> bool:
        """Say whether it is known to do nothing."""
        return self.body in (Body.ENDS, Body.FAILS)


class _Entry(msgspec.Struct):
    name: str = msgspec.field(name=".name")
    vgprs: int = msgspec.field(name=".vgpr_count", default=0)
    sgprs: int = msgspec.field(name=".sgpr_count", default=0)
    vgpr_spills: int = msgspec.field(name=".vgpr_spill_count", default=0)
    sgpr_spills: int = msgspec.field(name=".sgpr_spill_count", default=0)
    scratch: int = msgspec.field(name=".private_segment_fixed_size", default=0)
    lds: int = msgspec.field(name=".group_segment_fixed_size", default=0)
    wavefront: int = msgspec.field(name=".wavefront_size", default=0)


class _Metadata(msgspec.Struct):
    kernels: list[_Entry] = msgspec.field(name="amdhsa.kernels", default_factory=list)


_METADATA = msgspec.msgpack.Decoder(_Metadata)


def read_kernels(image: elf.Elf, target: str) -> tuple[Kernel, ...]:
    """Return the kernels of a code object, in the order of its metadata.

    Raises `MalformedError` where the metadata is missing or cannot be read.
    """
    notes = list(image.notes(b"AMDGPU", elf.NT_AMDGPU_METADATA))
    if not notes:
        raise MalformedError("no AMDGPU metadata note, so its kernels are not known")
    try:
        entries = [entry for note in notes for entry in _METADATA.decode(note).kernels]
    # msgspec leaks the last two on names that are not UTF-8 and on deep nesting.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"the kernel metadata cannot be read: {error}") from error
    code = image.functions({one.name for one in entries})
    return tuple(_kernel(one, code.get(one.name, _NOTHING), target) for one in entries)


def _kernel(entry: _Entry, code: memoryview, target: str) -> Kernel:
    return Kernel(
        name=entry.name,
        vgprs=entry.vgprs,
        sgprs=entry.sgprs,
        vgpr_spills=entry.vgpr_spills,
        sgpr_spills=entry.sgpr_spills,
        scratch=entry.scratch,
        lds=entry.lds,
        wavefront=entry.wavefront,
        text=len(code),
        body=classify(code, target),
    )
