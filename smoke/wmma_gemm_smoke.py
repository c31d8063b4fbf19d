"""wmma_gemm: a product on the matrix units is the one that is made without them."""

import os
import random

import wmma_gemm

SIZE = 64
devices = wmma_gemm.device_architectures()
arch = os.environ["STRIXFORGE_ARCH"]
assert devices, "HIP lists no GPU"
assert {one.partition(":")[0] for one in devices} == {arch}, f"HIP lists {devices}, not {arch}"
numbers = random.Random(0)
a, b = (wmma_gemm.halves(numbers.uniform(-1, 1) for _ in range(SIZE * SIZE)) for _ in range(2))
fast, plain = (wmma_gemm.gemm(a, b, m=SIZE, n=SIZE, k=SIZE, wmma=wmma) for wmma in (True, False))
error = max(abs(one - other) for one, other in zip(fast, plain, strict=True))
assert error < 0.01, f"WMMA is off by {error}"
print(f"{len(devices)} devices, all {arch}; {SIZE} x {SIZE} with WMMA, off by {error:.1e}")
