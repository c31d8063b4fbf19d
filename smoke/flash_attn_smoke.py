"""flash-attn: its Triton backend, against PyTorch on the CPU."""

from machine import require_compiler

require_compiler()

import torch
from flash_attn import flash_attn_func
from torch.nn.functional import scaled_dot_product_attention

torch.manual_seed(0)
on_cpu = [torch.randn(2, 128, 4, 64, dtype=torch.float16) for _ in range(3)]  # heads come third
found = flash_attn_func(*(one.cuda() for one in on_cpu), causal=True)
turned = (one.double().transpose(1, 2) for one in on_cpu)
wanted = scaled_dot_product_attention(*turned, is_causal=True).transpose(1, 2)
error = float((found.cpu().double() - wanted).abs().max())
assert error < 0.01, f"attention is off by {error}"
print(f"attention of 128 tokens, off by {error:.1e}")
