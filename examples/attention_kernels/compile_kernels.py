"""Compile kernels.py ahead of time: one code object an image, and images.json to launch them by.

Needs neither a GPU nor a GPU runtime, only Triton. The same Triton gives the same bytes whatever
the folder, the day and the number of jobs.
"""

# Triton comes without types.
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

# The architectures whose wave32 WMMA instructions these block sizes were chosen for, with their
# EF_AMDGPU_MACH codes.
ARCHITECTURES = {
    "gfx1100": 0x41,
    "gfx1101": 0x46,
    "gfx1102": 0x47,
    "gfx1103": 0x44,
    "gfx1150": 0x43,
    "gfx1151": 0x4A,
    "gfx1152": 0x55,
    "gfx1153": 0x58,
}
WAVE = 32
# Triton may assume that pointers and strides are multiples of this, and so load 16 bytes at once.
MULTIPLE_OF = 16

DTYPES = ("bf16", "fp16")
HEAD_DIMS = (64, 128)


class CompileError(Exception):
    """A sentence for the person who runs this script."""


@dataclass(frozen=True)
class Image:
    """One kernel for one data type and size."""

    kernel: str
    variant: str
    parameters: dict[str, str]  # in the kernel's order
    constants: dict[str, int]
    num_warps: int
    grid: tuple[str, str, str]
    uses_wmma: bool = False

    @property
    def name(self) -> str:
        """What a caller asks for."""
        return f"{self.kernel}-{self.variant}"

    @property
    def file(self) -> str:
        """The code object's file name."""
        return f"{self.name}.hsaco"

    @property
    def aligned(self) -> list[str]:
        """The parameters that must be multiples of MULTIPLE_OF: every address of a row's start."""
        return [
            name
            for name, kind in self.parameters.items()
            if kind.startswith("*") or name.endswith("stride")
        ]


def images() -> list[Image]:
    """Every image there is to compile, by name."""
    found: list[Image] = []
    for dtype in DTYPES:
        pointer = f"*{dtype}"
        found += [
            Image(
                kernel="rms_norm",
                variant=dtype,
                parameters={
                    "out": pointer,
                    "x": pointer,
                    "weight": pointer,
                    "epsilon": "fp32",
                    "columns": "i32",
                    "out_stride": "i64",
                    "x_stride": "i64",
                },
                constants={"BLOCK": 2048},
                num_warps=8,
                grid=("rows", "1", "1"),
            ),
            Image(
                kernel="softmax",
                variant=dtype,
                parameters={
                    "out": pointer,
                    "x": pointer,
                    "columns": "i32",
                    "out_stride": "i64",
                    "x_stride": "i64",
                },
                constants={"BLOCK": 2048},
                num_warps=8,
                grid=("rows", "1", "1"),
            ),
        ]
        for head_dim in HEAD_DIMS:
            block_heads = 1024 // head_dim
            found += [
                Image(
                    kernel="rotary_embedding",
                    variant=f"{dtype}-d{head_dim}",
                    parameters={
                        "x": pointer,
                        "cosine": "*fp32",
                        "sine": "*fp32",
                        "positions": "*i64",
                        "heads": "i32",
                        "token_stride": "i64",
                        "head_stride": "i64",
                    },
                    constants={"HALF": head_dim // 2, "BLOCK_HEADS": block_heads},
                    num_warps=4,
                    grid=("tokens", f"ceil(heads / {block_heads})", "1"),
                ),
                _attention(dtype, head_dim),
            ]
    return sorted(found, key=lambda image: image.name)


def _attention(dtype: str, head_dim: int) -> Image:
    pointer = f"*{dtype}"
    parameters = {
        "out": pointer,
        "logsumexp": "*fp32",
        "query": pointer,
        "key": pointer,
        "value": pointer,
        "scale": "fp32",
        "heads_per_key_head": "i32",
        "query_length": "i32",
        "key_length": "i32",
    }
    for tensor in ("out", "query", "key", "value"):
        # A whole batch may pass 2 Gi elements; one sequence of one head does not, and 32-bit
        # offsets inside it save registers.
        parameters[f"{tensor}_batch_stride"] = "i64"
        parameters[f"{tensor}_head_stride"] = "i64"
        parameters[f"{tensor}_row_stride"] = "i32"
    # The largest blocks that gfx1151's 256 vector registers hold without spilling.
    block_m = {64: 128, 128: 64}[head_dim]
    return Image(
        kernel="attention_forward",
        variant=f"{dtype}-d{head_dim}",
        parameters=parameters,
        constants={"HEAD_DIM": head_dim, "BLOCK_M": block_m, "BLOCK_N": 32},
        num_warps=8,
        grid=(f"ceil(query_length / {block_m})", "heads", "batch"),
        uses_wmma=True,
    )


def compile_image(image: Image, arch: str, out: Path) -> dict[str, Any]:
    """Write the image's code object and return its entry of images.json."""
    # Imported here, in the worker: Triton reads its settings from the environment as it is loaded.
    import kernels
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    order = list(image.parameters)
    source = ASTSource(
        fn=getattr(kernels, image.kernel),
        signature={**image.parameters, **dict.fromkeys(image.constants, "constexpr")},
        constexprs=image.constants,
        attrs={(order.index(name),): [["tt.divisibility", MULTIPLE_OF]] for name in image.aligned},
    )
    try:
        compiled = triton.compile(
            source,
            target=GPUTarget("hip", arch, WAVE),
            # One stage: there is no asynchronous copy to overlap, only registers to lose.
            options={"num_warps": image.num_warps, "num_stages": 1, "enable_fp_fusion": True},
        )
    except Exception as error:
        raise CompileError(f"{image.name} does not compile for {arch}: {error}") from error

    code: bytes = compiled.asm["hsaco"]
    machine = code[48]  # the low byte of a 64-bit ELF header's e_flags
    if machine != ARCHITECTURES[arch]:
        raise CompileError(f"{image.name} came out for machine {machine:#x}, which is not {arch}")
    wmma = compiled.asm["amdgcn"].count("v_wmma_")
    if image.uses_wmma and not wmma:
        raise CompileError(f"{image.name} has no v_wmma instruction: tl.dot became scalar code")
    if compiled.metadata.global_scratch_size:
        raise CompileError(f"{image.name} wants scratch memory, which a launch does not hand it")
    (out / image.file).write_bytes(code)
    return {
        "constants": image.constants,
        "file": image.file,
        "grid": image.grid,
        "kernel": compiled.metadata.name,
        "name": image.name,
        "num_warps": compiled.metadata.num_warps,
        "sha256": hashlib.sha256(code).hexdigest(),
        "shared_bytes": compiled.metadata.shared,
        "signature": [
            {"multiple_of": MULTIPLE_OF if name in image.aligned else 1, "name": name, "type": kind}
            for name, kind in image.parameters.items()
        ],
        "threads": compiled.metadata.num_warps * WAVE,
        "wmma_instructions": wmma,
    }


def _settle_environment(scratch: str) -> None:
    """Leave Triton no setting but ours."""
    for name in list(os.environ):
        if name.startswith(("AMDGCN_", "LLVM_", "MLIR_", "TRITON_")):
            del os.environ[name]
    os.environ.update(
        TRITON_CACHE_DIR=f"{scratch}/cache",
        TRITON_HOME=scratch,
        TRITON_DISABLE_LINE_INFO="1",  # line information holds the path of kernels.py
        TRITON_DEFAULT_FP_FUSION="1",  # its default is not the same in every Triton
    )


def compile_all(arch: str, out: Path, jobs: int) -> list[dict[str, Any]]:
    """Compile every image for `arch` into `out`, and write images.json when all are there."""
    if arch not in ARCHITECTURES:
        raise CompileError(
            f"unknown architecture {arch!r}: these kernels are for {', '.join(ARCHITECTURES)}"
        )
    out.mkdir(parents=True, exist_ok=True)
    # An earlier, interrupted run may have left images here that are no longer built.
    for left_over in [*out.glob("*.hsaco"), out / "images.json"]:
        left_over.unlink(missing_ok=True)

    entries: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="triton-") as scratch:
        _settle_environment(scratch)
        # Spawned, not forked: Triton's LLVM has threads, which a fork would leave behind.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            pending = [pool.submit(compile_image, image, arch, out) for image in images()]
            try:
                for task in pending:
                    entry = task.result()
                    print(f"{entry['name']}: {entry['wmma_instructions']} WMMA", flush=True)
                    entries.append(entry)
            except BrokenProcessPool as error:
                raise CompileError("a compiler process was killed: out of memory?") from error
            finally:
                pool.shutdown(cancel_futures=True)
    document = {"arch": arch, "images": entries, "triton": version("triton"), "wave_size": WAVE}
    text = json.dumps(document, indent=2, sort_keys=True)
    (out / "images.json").write_text(text + "\n", encoding="utf-8")
    return entries


def main() -> int:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch", required=True, help="GPU architecture, such as gfx1151")
    parser.add_argument("--out", required=True, type=Path, help="folder for the images")
    parser.add_argument("--jobs", type=int, default=1, help="images to compile at a time")
    arguments = parser.parse_args()
    try:
        entries = compile_all(arguments.arch, arguments.out, max(1, arguments.jobs))
    except CompileError as error:
        print(f"compile_kernels: {error}", file=sys.stderr)
        return 1
    print(f"{len(entries)} images for {arguments.arch} in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
