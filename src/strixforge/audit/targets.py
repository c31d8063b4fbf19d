"""AMDGPU targets: from ELF flags to names such as gfx1151 and gfx90a:sramecc+:xnack-.

Sources:
- ROCm/llvm-project, llvm/include/llvm/BinaryFormat/ELF.h at commit
  06c62775e4cd479fbfde1c5863016e2665110136: AMDGPU_MACH_LIST, EF_AMDGPU_FEATURE_*.
- The same repository, llvm/docs/AMDGPUUsage.rst at commit
  dce84f8c7b92e5fb9352a26c1e87a29e8f33786f: generic processors, target ID syntax, also of V2-V3.
- gfx940 and gfx941 were withdrawn since; their numbers are those llc 19.1.7 writes.

Left out, hence unknown: the R600 machines (no HSA code objects exist for them) and 0xeb, which
ROCm calls gfx125f and LLVM (pull request 218543) gfx1250-strict.
"""

import re

from strixforge.audit.bounds import MalformedError

ELFOSABI_AMDGPU_HSA = 64

MACHINES = {
    0x20: "gfx600",
    0x21: "gfx601",
    0x22: "gfx700",
    0x23: "gfx701",
    0x24: "gfx702",
    0x25: "gfx703",
    0x26: "gfx704",
    0x28: "gfx801",
    0x29: "gfx802",
    0x2A: "gfx803",
    0x2B: "gfx810",
    0x2C: "gfx900",
    0x2D: "gfx902",
    0x2E: "gfx904",
    0x2F: "gfx906",
    0x30: "gfx908",
    0x31: "gfx909",
    0x32: "gfx90c",
    0x33: "gfx1010",
    0x34: "gfx1011",
    0x35: "gfx1012",
    0x36: "gfx1030",
    0x37: "gfx1031",
    0x38: "gfx1032",
    0x39: "gfx1033",
    0x3A: "gfx602",
    0x3B: "gfx705",
    0x3C: "gfx805",
    0x3D: "gfx1035",
    0x3E: "gfx1034",
    0x3F: "gfx90a",
    0x40: "gfx940",
    0x41: "gfx1100",
    0x42: "gfx1013",
    0x43: "gfx1150",
    0x44: "gfx1103",
    0x45: "gfx1036",
    0x46: "gfx1101",
    0x47: "gfx1102",
    0x48: "gfx1200",
    0x49: "gfx1250",
    0x4A: "gfx1151",
    0x4B: "gfx941",
    0x4C: "gfx942",
    0x4E: "gfx1201",
    0x4F: "gfx950",
    0x50: "gfx1310",
    0x51: "gfx9-generic",
    0x52: "gfx10-1-generic",
    0x53: "gfx10-3-generic",
    0x54: "gfx11-generic",
    0x55: "gfx1152",
    0x58: "gfx1153",
    0x59: "gfx12-generic",
    0x5A: "gfx1251",
    0x5B: "gfx12-5-generic",
    0x5D: "gfx1170",
    0x5F: "gfx9-4-generic",
}

GENERIC_COVERS = {
    "gfx9-generic": {"gfx900", "gfx902", "gfx904", "gfx906", "gfx909", "gfx90c"},
    "gfx9-4-generic": {"gfx940", "gfx941", "gfx942", "gfx950"},
    "gfx10-1-generic": {"gfx1010", "gfx1011", "gfx1012", "gfx1013"},
    "gfx10-3-generic": {f"gfx103{step}" for step in range(7)},
    "gfx11-generic": {f"gfx11{family}{step}" for family in "05" for step in range(4)},
    "gfx12-generic": {"gfx1200", "gfx1201"},
}


def target_of(flags: int, os_abi: int, abi_version: int) -> str:
    """Return the target ID that an AMDGPU ELF header states, features in alphabetic order.

    `flags` is e_flags, `os_abi` and `abi_version` are e_ident[EI_OSABI] and [EI_ABIVERSION].
    Raises `MalformedError` for an unknown machine, OS ABI or code object version.
    """
    if os_abi != ELFOSABI_AMDGPU_HSA:
        raise MalformedError(f"OS ABI {os_abi} is not amdhsa ({ELFOSABI_AMDGPU_HSA})")
    # ABI versions 1 to 4 are code objects V3 to V6. V2 keeps no machine in its flags.
    if not 1 <= abi_version <= 4:
        raise MalformedError(f"amdhsa ABI version {abi_version} is not known (1 to 4 are)")
    machine = MACHINES.get(flags & 0xFF)
    if machine is None:
        raise MalformedError(f"AMDGPU machine {flags & 0xFF:#04x} is not known")
    if abi_version == 1:
        sramecc, xnack = "+" if flags & 0x200 else "", "+" if flags & 0x100 else ""
    else:
        signs = ("", "", "-", "+")  # unsupported, any, off, on
        sramecc, xnack = signs[flags >> 10 & 3], signs[flags >> 8 & 3]
    features = (("sramecc", sramecc), ("xnack", xnack))
    return machine + "".join(f":{name}{sign}" for name, sign in features if sign)


def base(target: str) -> str:
    """Return the processor of a target ID: gfx90a of gfx90a:xnack- and of V3's gfx90a+xnack."""
    return re.split("[:+]", target, maxsplit=1)[0]


def label_agrees(label: str, target: str, abi_version: int) -> bool:
    """Tell whether a bundle entry's id names the same target as the ELF inside it.

    Ids are `<kind>-<arch>-<vendor>-<os>-<env>-<target ID>`. V3 (ABI version 1) writes features in
    another way and cannot tell off from unsupported, so only the processors are compared there.
    """
    stated = label.split("-", 5)[-1]
    return base(stated) == base(target) if abi_version == 1 else stated == target


def covers(target: str, arch: str) -> bool:
    """Tell whether code for `target` (a target ID) may run on `arch` (a processor)."""
    processor = base(target)
    return processor == arch or arch in GENERIC_COVERS.get(processor, ())
