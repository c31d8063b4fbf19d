"""Triton: a kernel is compiled on this machine, and adds."""

from machine import require_compiler

require_compiler()

import torch
import triton
import triton.language as tl


@triton.jit
def add(a, b, out, count, block: tl.constexpr):  # noqa: ANN001, ANN201, D103 - Triton's language
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < count
    tl.store(out + at, tl.load(a + at, inside) + tl.load(b + at, inside), inside)


COUNT = 100_003
a, b = (torch.randn(COUNT, device="cuda") for _ in range(2))
out = torch.empty_like(a)
add[(triton.cdiv(COUNT, 1024),)](a, b, out, COUNT, block=1024)
torch.testing.assert_close(out.cpu(), a.cpu() + b.cpu())
print(f"triton {triton.__version__} compiled a kernel, and it added {COUNT} numbers")
