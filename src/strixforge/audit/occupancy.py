"""How many waves of a kernel fit on a SIMD, as far as its vector registers decide that.

Source: llvm/llvm-project, llvm/lib/Target/AMDGPU/Utils/AMDGPUBaseInfo.cpp: getTotalNumVGPRs,
getVGPRAllocGranule, getNumWavesPerEUWithNumVGPRs, and `Feature1_5xVGPRs` of AMDGPU.td (review
D134522): gfx1100, gfx1101 and gfx1151 have half as many registers again as the rest of gfx11.
Local memory and the workgroup's size are not counted: both are known only when it runs.
"""

from strixforge.audit.kernels import Kernel
from strixforge.audit.targets import base

MOST_WAVES = 16
_LARGE = ("gfx1100", "gfx1101", "gfx1151")
_SMALL = ("gfx1102", "gfx1103", "gfx1150", "gfx1152", "gfx1153")
_REGISTERS = dict.fromkeys(_LARGE, (1536, 24)) | dict.fromkeys(_SMALL, (1024, 16))
"""Vector registers of a SIMD for waves of 32 work-items, and how many are handed out at once."""


def waves(kernel: Kernel, target: str) -> int | None:
    """Return the waves that fit on one SIMD, 1 to 16; None for targets that are not known."""
    known = _REGISTERS.get(base(target))
    if known is None or kernel.wavefront not in (32, 64):
        return None
    total, granule = known
    if kernel.wavefront == 64:
        total, granule = total // 2, granule // 2
    taken = max(granule, -(-kernel.vgprs // granule) * granule)
    return max(1, min(total // taken, MOST_WAVES))
