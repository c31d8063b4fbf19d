"""AOTriton: PyTorch's flash attention, which has no other kernels on this GPU.

sdpa_kernel: pytorch/pytorch, torch/nn/attention/__init__.py; where the backend cannot be used it
raises, and does not take another one.
"""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

torch.manual_seed(0)
on_cpu = [torch.randn(2, 4, 128, 64, dtype=torch.float16) for _ in range(3)]
with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
    found = scaled_dot_product_attention(*(one.cuda() for one in on_cpu), is_causal=True)
wanted = scaled_dot_product_attention(*(one.double() for one in on_cpu), is_causal=True)
error = float((found.cpu().double() - wanted).abs().max())
assert error < 0.01, f"flash attention is off by {error}"
print(f"flash attention of 128 tokens, off by {error:.1e}")
