"""Real kernels of hipcc: what a change costs is told, and a macro without the target is found."""

import base64
import json
from pathlib import Path

import pytest

from strixforge.audit.__main__ import NOT_FIT, main
from tests.debian.test_debian_stack import in_root

pytestmark = pytest.mark.slow

# A matrix in registers; with few registers left to a kernel they do not fit.
TILE = """
#include <hip/hip_runtime.h>
extern "C" __global__ __launch_bounds__(BOUND) void tile(float* a, const float* b) {
    float sum[64];
    for (int i = 0; i < 64; i++) sum[i] = b[i * 1024 + threadIdx.x];
    for (int k = 0; k < 100; k++) {
        float next[64];
        for (int i = 0; i < 64; i++) next[i] = b[k * 65536 + i * 1024 + threadIdx.x] * sum[63 - i];
        for (int i = 0; i < 64; i++) sum[i] += next[(i + 7) & 63];
    }
    for (int i = 0; i < 64; i++) a[i * 1024 + threadIdx.x] = sum[i];
}
extern "C" __global__ void same(float* a) { a[threadIdx.x] *= 2; }
"""
# As vLLM's attention kernels: a list of targets in a macro, and an assertion for all others.
MACRO = """
#include <hip/hip_runtime.h>
#include <cassert>
#if LIST
#define WORKS
#endif
extern "C" __global__ void attention(float* a) {
#ifdef WORKS
    a[threadIdx.x] = sqrtf(a[threadIdx.x]);
#else
    assert(false);
#endif
}
extern "C" __global__ void scale(float* a) { a[threadIdx.x] *= 3; }
"""


def compiled(root: Path, source: str, place: Path, target: str, *flags: str) -> Path:
    """Compile a source in the root; return the code object."""
    script = f"""
    cd /tmp
    cat > k.hip <<'END'
    {source}
END
    hipcc -O3 --genco --offload-arch={target} {" ".join(flags)} -o k.co k.hip >&2
    base64 k.co
    """
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(base64.b64decode(in_root(root, script, {})))
    return place


def test_a_kernel_that_spills_now_is_told(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = compiled(root, TILE, tmp_path / "old" / "k.co", "gfx1151", "-DBOUND=64")
    new = compiled(root, TILE, tmp_path / "new" / "k.co", "gfx1151", "-DBOUND=1024")
    assert main([str(old.parent), "--record", str(tmp_path / "r.zst")]) == 0
    capsys.readouterr()
    assert main([str(new.parent), "--compare", str(tmp_path / "r.zst"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["comparison"]
    (row,) = told["changed"]
    assert row["name"] == "tile"
    assert row["old"] != row["new"]
    print(row)


def test_a_macro_that_lacks_the_target_leaves_stubs_that_are_named(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacks = "'-DLIST=defined(__gfx1100__)'"
    has = "'-DLIST=(defined(__gfx1100__)||defined(__gfx1151__))'"
    for flags, code in ((lacks, NOT_FIT), (has, 0)):
        place = tmp_path / f"code {code}"
        for target in ("gfx1151", "gfx1100"):
            compiled(root, MACRO, place / f"k-{target}.co", target, flags)
        assert main([str(place), "--beside", "gfx1100", "--json"]) == code
        told = json.loads(capsys.readouterr().out)
        hollow = [one["name"] for one in told["parity"]["hollow"]]
        assert hollow == (["attention"] if code else [])
        assert any("attention" in one for one in told["findings"]) == bool(code)
