"""What an AMD GPU code object says about its kernels.

The ELF header names the GPU once more than the metadata does, and neither is derived from the
other: `read_kernels` wants them to agree.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

NT_AMDGPU_METADATA = 32

# EF_AMDGPU_MACH_*, the low byte of e_flags.
MACHINES = {
    0x36: "gfx1030",
    0x41: "gfx1100",
    0x43: "gfx1150",
    0x44: "gfx1103",
    0x46: "gfx1101",
    0x47: "gfx1102",
    0x48: "gfx1200",
    0x4A: "gfx1151",
    0x4E: "gfx1201",
    0x54: "gfx11-generic",
    0x55: "gfx1152",
    0x58: "gfx1153",
}


class CodeObjectError(Exception):
    """A sentence about a code object that cannot be read, or contradicts itself."""


@dataclass(frozen=True)
class Kernel:
    """A kernel's needs, as the compiler wrote them down. `lds_bytes` is what the code reserves for
    itself: Triton asks for its shared memory at launch, so that it is 0 here."""

    image: str
    name: str
    target: str
    vgprs: int
    sgprs: int
    vgpr_spills: int
    sgpr_spills: int
    lds_bytes: int
    scratch_bytes: int
    wavefront_size: int


def read_kernels(image: str, code: bytes, target: str) -> list[Kernel]:
    """The kernels of a code object that must be for `target`."""
    try:
        elf = ELFFile(io.BytesIO(code))
        machine, flags = elf["e_machine"], elf["e_flags"]
        notes = _metadata_notes(elf)
    except ELFError as error:
        raise CodeObjectError(f"{image} is not an ELF file: {error}") from error
    if machine != "EM_AMDGPU":
        raise CodeObjectError(f"{image} is for {machine}, not for an AMD GPU")
    if len(notes) != 1:
        raise CodeObjectError(f"{image} has {len(notes)} AMD GPU metadata notes, not one")

    metadata = _metadata(image, notes[0])
    in_header = MACHINES.get(flags & 0xFF, f"machine {flags & 0xFF:#x}")
    in_metadata = target_name(str(metadata.get("amdhsa.target", "")))
    if not in_header == in_metadata == target:
        raise CodeObjectError(
            f"{image} should be for {target}, but its ELF header says {in_header} "
            f"and its metadata says {in_metadata or 'nothing'}"
        )
    kernels: object = metadata.get("amdhsa.kernels", [])
    if not isinstance(kernels, list):
        raise CodeObjectError(f"{image} has metadata without a list of kernels")
    return [_kernel(image, target, entry) for entry in kernels]


def target_name(target: str) -> str:
    """The processor of a target such as `amdgcn-amd-amdhsa--gfx1151:xnack-`.

    Four parts come before it, and it may have dashes of its own (`gfx11-generic`).
    """
    *_, processor = target.partition(":")[0].split("-", 4)
    return processor


def _metadata_notes(elf: Any) -> list[bytes]:
    # Any, because pyelftools declares a note's type as text, but hands over the number where it
    # has no name for it.
    return [
        note["n_descdata"]
        for segment in elf.iter_segments("PT_NOTE")
        for note in segment.iter_notes()
        if note["n_name"] == "AMDGPU" and note["n_type"] == NT_AMDGPU_METADATA
    ]


def _metadata(image: str, note: bytes) -> Mapping[str, Any]:
    try:
        metadata: object = msgpack.unpackb(note)
    except ValueError as error:
        raise CodeObjectError(f"{image} has metadata that is not msgpack: {error}") from error
    if not isinstance(metadata, dict):
        raise CodeObjectError(f"{image} has metadata that is not a map")
    return metadata


def _kernel(image: str, target: str, entry: Mapping[str, Any]) -> Kernel:
    try:
        return Kernel(
            image=image,
            name=entry[".name"],
            target=target,
            vgprs=entry[".vgpr_count"],
            sgprs=entry[".sgpr_count"],
            # Left out by compilers that had nothing to spill.
            vgpr_spills=entry.get(".vgpr_spill_count", 0),
            sgpr_spills=entry.get(".sgpr_spill_count", 0),
            lds_bytes=entry[".group_segment_fixed_size"],
            scratch_bytes=entry[".private_segment_fixed_size"],
            wavefront_size=entry[".wavefront_size"],
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise CodeObjectError(f"{image} has a kernel with incomplete metadata: {error}") from error
