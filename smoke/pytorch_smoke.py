"""PyTorch: every device is ours, memory goes there and back, rocBLAS and hipBLASLt multiply."""

import os
import warnings

import torch

ARCH = os.environ["STRIXFORGE_ARCH"]


def product(library: str) -> float:
    """Return the largest relative error of a product in bfloat16, as a library makes it.

    preferred_blas_library: pytorch/pytorch, torch/backends/cuda/__init__.py; on ROCm cublas is
    rocBLAS, and cublaslt is hipBLASLt. Where that cannot, PyTorch takes rocBLAS with a warning.
    """
    torch.backends.cuda.preferred_blas_library(library)
    torch.manual_seed(0)
    a, b = (torch.randn(512, 512, dtype=torch.bfloat16) for _ in range(2))
    wanted = a.double() @ b.double()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="(?is).*blas")
        found = (a.cuda() @ b.cuda()).cpu().double()
    taken = torch.backends.cuda.preferred_blas_library()
    assert taken.name.lower() == library, f"asked for {library}, PyTorch took {taken.name}"
    return float((found - wanted).abs().max() / wanted.abs().max())


def main() -> None:
    """Ask each device for its name, and multiply on each."""
    count = torch.cuda.device_count()
    assert count > 0, "PyTorch sees no GPU"
    for index in range(count):
        name = torch.cuda.get_device_properties(index).gcnArchName
        assert name.partition(":")[0] == ARCH, f"device {index} is {name}, not {ARCH}"
        with torch.cuda.device(index):
            here = torch.arange(1 << 20, dtype=torch.int64, device="cuda")
            assert int(here.sum()) == (1 << 20) * ((1 << 20) - 1) // 2, f"device {index} adds wrong"
            for library in ("cublas", "cublaslt"):
                error = product(library)
                assert error < 0.02, f"{library} is off by {error} on device {index}"
    print(f"{count} devices, all {ARCH}; rocBLAS and hipBLASLt multiply")


main()
