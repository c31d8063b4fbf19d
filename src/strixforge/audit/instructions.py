"""Instructions of gfx11 (RDNA 3 and 3.5), as far as an audit needs them: lengths, and effects.

Source: AMD's "RDNA3 Instruction Set Architecture" and "RDNA3.5 Instruction Set Architecture"
reference guides, chapter "Microcode Formats"; opcode numbers as LLVM's assembler writes them
(llvm/llvm-project, llvm/lib/Target/AMDGPU: SOPInstructions.td, FLATInstructions.td and the others).
The lengths were held against llvm-objdump's, instruction by instruction, on all kernels of vLLM.
"""

import struct
from collections.abc import Callable, Iterator
from enum import Enum

from strixforge.audit.bounds import MalformedError
from strixforge.audit.targets import GENERIC_COVERS

_FAMILY = "gfx11-generic"
_LITERAL = 0xFF
_WITH_CONTROL = (0xFF, 0xFA, 0xE9, 0xEA)  # a literal, or a dword of DPP16, DPP8, DPP8 with FI
_SEGMENT_SCRATCH = 1


def is_read(processor: str) -> bool:
    """Say whether a processor's instructions are those that are read here."""
    return processor == _FAMILY or processor in GENERIC_COVERS[_FAMILY]


class Effect(Enum):
    """What an instruction does that matters to the question whether a kernel does anything."""

    NONE = "none"
    WRITE = "write"
    """Memory that others see is written, or a message goes out."""
    CALL = "call"
    JUMP = "jump"
    """To an address in registers: a return, or a tail call."""
    TRAP = "trap"
    END = "end"


def walk(code: memoryview) -> Iterator[tuple[int, Effect]]:
    """Yield the offset, bytes, of each instruction and its effect, in the order of the file.

    Raises `MalformedError` for an encoding that is not known, or one that is cut off.
    """
    words = struct.unpack(f"<{len(code) // 4}I", code[: len(code) // 4 * 4])
    at = 0
    while at < len(words):
        first = words[at]
        second = words[at + 1] if at + 1 < len(words) else None
        size, effect = _read(first, second)
        if at + size > len(words):
            raise MalformedError(f"an instruction is cut off at byte {4 * at}")
        yield 4 * at, effect
        at += size


def _read(first: int, second: int | None) -> tuple[int, Effect]:
    """Return size in dwords and effect of the instruction that begins with two dwords."""
    if not first >> 31:
        return _vector(first), Effect.NONE
    if first >> 30 == 0b10:
        return _scalar(first)
    if second is None:
        raise MalformedError("an instruction of two dwords is cut off")
    known = _WIDE.get(first >> 26)
    if known is None:
        raise MalformedError(f"no instruction begins with {first:#010x}")
    return known(first, second)


def _vector(first: int) -> int:
    """Return the size of VOP1, VOP2 and VOPC."""
    operation = first >> 25 & 0x3F
    # v_fmamk and v_fmaak, f32 and f16, carry a literal always.
    if operation in (44, 45, 55, 56):
        return 2
    return 2 if first & 0x1FF in _WITH_CONTROL else 1


def _extra(second: int) -> int:
    """Return how many dwords follow the two of VOP3 and VOP3P."""
    sources = (second & 0x1FF, second >> 9 & 0x1FF, second >> 18 & 0x1FF)
    return int(sources[0] in _WITH_CONTROL or _LITERAL in sources)


def _dual_literal(first: int, second: int) -> int:
    """Return how many dwords follow the two of VOPD."""
    sources = _LITERAL in (first & 0x1FF, second & 0x1FF)
    return int(sources or first >> 22 & 0xF in (1, 2) or first >> 17 & 0x1F in (1, 2))


def _scalar(first: int) -> tuple[int, Effect]:
    """Return size and effect of SOP2, SOPK, SOP1, SOPC and SOPP."""
    if first >> 23 == 0b101111111:
        return 1, _program(first >> 16 & 0x7F, first & 0xFFFF)
    if first >> 23 == 0b101111101:
        effects = {72: Effect.JUMP, 73: Effect.CALL}
        return 1 + (first & 0xFF == _LITERAL), effects.get(first >> 8 & 0xFF, Effect.NONE)
    if first >> 28 == 0b1011 and first >> 23 != 0b101111110:
        operation = first >> 23 & 0x1F
        # s_setreg_imm32_b32 carries a literal; s_call_b64 calls.
        return 1 + (operation == 19), Effect.CALL if operation == 20 else Effect.NONE
    literal = _LITERAL in (first & 0xFF, first >> 8 & 0xFF)
    is_two = first >> 23 != 0b101111110
    # s_fmaak_f32 and s_fmamk_f32 of RDNA 3.5
    always = is_two and first >> 23 & 0x7F in (69, 70)
    return 1 + (literal or always), Effect.NONE


def _program(operation: int, operand: int) -> Effect:
    match operation:
        case 48 | 49:  # s_endpgm, s_endpgm_saved
            return Effect.END
        case 16:
            return Effect.TRAP
        case 54 | 55 if operand & 0xFF != 3:  # s_sendmsg; 3 hands registers back before the end
            return Effect.WRITE
    return Effect.NONE


def _flat(first: int) -> Effect:
    operation = first >> 18 & 0x7F
    if first >> 16 & 3 == _SEGMENT_SCRATCH:
        return Effect.NONE  # private memory of a work-item
    stores = operation in range(24, 30) or operation in (36, 37, 41)
    return Effect.WRITE if stores or operation >= 51 else Effect.NONE


def _buffer(operation: int) -> Effect:
    stores = operation in range(4, 8) or operation in range(12, 16) or operation in range(24, 30)
    return Effect.WRITE if stores or operation in (36, 37, 39) or operation >= 51 else Effect.NONE


def _packed(first: int, second: int) -> tuple[int, Effect]:
    """Return size and effect of VOP3P, VINTERP and LDSDIR, which begin alike."""
    kinds = (2 + _extra(second), 2, 1)
    if first >> 24 & 3 == len(kinds):
        raise MalformedError(f"no instruction begins with {first:#010x}")
    return kinds[first >> 24 & 3], Effect.NONE


def _typed_buffer(first: int) -> Effect:
    stores = first >> 15 & 0xF in (4, 5, 6, 7, 12, 13, 14, 15)
    return Effect.WRITE if stores else Effect.NONE


_WIDE: dict[int, Callable[[int, int], tuple[int, Effect]]] = {
    0b110010: lambda first, second: (2 + _dual_literal(first, second), Effect.NONE),  # VOPD
    0b110011: _packed,
    0b110101: lambda _, second: (2 + _extra(second), Effect.NONE),  # VOP3
    0b110110: lambda *_: (2, Effect.NONE),  # DS
    0b110111: lambda first, _: (2, _flat(first)),  # FLAT, GLOBAL, SCRATCH
    0b111000: lambda first, _: (2, _buffer(first >> 18 & 0xFF)),  # MUBUF
    0b111010: lambda first, _: (2, _typed_buffer(first)),  # MTBUF
    0b111100: lambda first, _: (2 + (first & 1), Effect.WRITE),  # MIMG, perhaps with addresses
    0b111101: lambda *_: (2, Effect.NONE),  # SMEM
    0b111110: lambda *_: (2, Effect.WRITE),  # EXP
}
"""Instructions of two dwords and more, by their first six bits."""
