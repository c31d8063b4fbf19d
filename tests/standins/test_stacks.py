"""The real recipes, patches and policy, from lock to installed stack, on stand-in sources."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from strixforge.audit.codeobjects import CodeObject, scan
from strixforge.model.lock import load_lock
from strixforge.plan.graph import load_plan
from tests.standins.project import ROOT, STACKS, Standins, module

pytestmark = pytest.mark.slow  # a minute and a half for each stack

_IMPORTS = """
import flash_attn, torch, torchvision, triton, triton.language, vllm, vllm._C
print("torch", torch.__version__)
print("triton", triton.__version__)
with open("/proc/self/maps") as maps:
    for path in {line.split()[-1] for line in maps if "libamdhip64" in line}:
        print("runtime", path)
"""


def test_every_component_has_a_stand_in() -> None:
    lock = load_lock(Path(__file__).parents[2] / "toolchain.lock")
    names = {pin.component for stack in STACKS for pin in lock.stack(stack).pins}
    assert {name for name in names if module(name) is None} == {"torch_headers", "torch_kit"}


@pytest.mark.parametrize("stack", STACKS)
def test_all_is_built_after_what_it_needs(
    standins: Standins, first_runs: dict[str, str], stack: str
) -> None:
    plan = load_plan(
        standins.home, load_lock(standins.home / "toolchain.lock"), stack, "gfx1151", {}, ROOT
    )
    # The second stack finds the root in the store.
    order = re.findall(r"^(\w+) +(?:done in|restored from)", first_runs[stack], re.MULTILINE)
    assert set(order) == set(plan.closure(plan.shipped()))
    for name in order:
        for need in plan.needs(name):
            assert order.index(need) < order.index(name), f"{need} comes after {name}: {order}"


@pytest.mark.parametrize("stack", STACKS)
def test_a_second_run_builds_nothing(
    standins: Standins, first_runs: dict[str, str], stack: str
) -> None:
    del first_runs
    text = standins.doit(stack, "wheelhouse").check(0)
    assert "done in" not in text
    assert "restored" not in text


@pytest.mark.parametrize("stack", STACKS)
def test_code_objects_are_for_the_target_alone(
    standins: Standins, first_runs: dict[str, str], stack: str
) -> None:
    """Those in AOTriton's packs are read too."""
    del first_runs
    for component in ("aotriton", "hipblaslt", "pytorch", "torchvision", "vllm"):
        if component not in standins.components(stack):
            continue
        found = list(scan(standins.output(stack, component)))
        objects = [one for one in found if isinstance(one, CodeObject)]
        assert {one.target for one in objects} == {"gfx1151"}, component
        assert any(one.kernels for one in objects), component
    packs = list(scan(standins.output(stack, "aotriton")))
    assert len(packs) == 18  # three kernels, three types, two that were not left out of each pack


@pytest.mark.parametrize("stack", STACKS)
def test_it_installs_and_python_imports_it(
    standins: Standins, first_runs: dict[str, str], stack: str, tmp_path: Path
) -> None:
    del first_runs
    text = in_root(
        standins,
        stack,
        tmp_path,
        "/wheelhouse/install.sh /prefix/stack\n. /prefix/stack/activate.sh\n"
        f"python -c '{_IMPORTS}'",
    )
    versions = {name: standins.pin(stack, name)["version"] for name in ("pytorch", "triton")}
    assert f"torch {versions['pytorch']}" in text
    assert f"triton {versions['triton']}" in text
    runtimes = re.findall(r"^runtime (.*)$", text, re.MULTILINE)
    assert runtimes, text
    assert all(path.startswith("/prefix/stack/rocm/lib/") for path in runtimes), text
    shutil.rmtree(tmp_path)


def test_a_change_rebuilds_what_sees_it_and_no_more(
    standins: Standins, first_runs: dict[str, str]
) -> None:
    """Three see the header; what two of them are built to stays the same, so it ends there."""
    del first_runs
    header = "library/include/hipblas-common.h"
    with standins.changed(
        "rocm-6.4.4", "hipblas_common", header, "#endif\n", "/* more */\n#endif\n"
    ):
        text = standins.doit("rocm-6.4.4", "wheelhouse").check(0)
        assert set(done(text)) == {"hipblas_common", "hipblaslt", "pytorch"}
    text = standins.doit("rocm-6.4.4", "wheelhouse").check(0)
    assert not done(text)


def test_a_change_that_reaches_no_output_ends_at_the_next(
    standins: Standins, first_runs: dict[str, str]
) -> None:
    """AOTriton is built with the AITER that changed, and nothing of that is in it."""
    del first_runs
    with standins.changed("therock", "aotriton_aiter", "hsa/codegen.py", "generation", "making"):
        text = standins.doit("therock", "wheelhouse").check(0)
        assert set(done(text)) == {"aotriton_aiter", "aotriton"}


def test_rocwmma_that_does_not_know_the_target_is_refused(
    standins: Standins, first_runs: dict[str, str]
) -> None:
    """As 1.7.0 of ROCm 6.4 does not: a real result, which the stand-in of a later one hides."""
    del first_runs
    config = "library/include/rocwmma/internal/config.hpp"
    known = "#elif defined(__gfx1151__)\n#define ROCWMMA_ARCH_GFX1151 1\n"
    with standins.changed("rocm-6.4.4", "rocwmma", config, known, ""):
        standins.doit("rocm-6.4.4", "build_rocwmma").check(
            24, "the source of rocwmma is not what its recipe expects", "1.7.0 of ROCm 6.4 lacks"
        )


def done(text: str) -> list[str]:
    """Return the components that a run has built, in that order."""
    return re.findall(r"^(\w+) +done in", text, re.MULTILINE)


def in_root(standins: Standins, stack: str, prefix: Path, script: str) -> str:
    """Run a script in the root, whose Python is the stack's; return what it said."""
    root = standins.output(stack, ROOT)
    done = subprocess.run(
        [
            *("bwrap", "--unshare-all", "--die-with-parent", "--tmpfs", "/"),
            *("--ro-bind", str(root / "usr"), "/usr", "--ro-bind", str(root / "etc"), "/etc"),
            *("--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
            *("--symlink", "usr/lib64", "/lib64", "--dev", "/dev", "--proc", "/proc"),
            *("--tmpfs", "/tmp", "--ro-bind", str(standins.wheelhouse(stack)), "/wheelhouse"),
            *("--bind", str(prefix), "/prefix", "--clearenv", "--setenv", "PATH", "/usr/bin"),
            *("--setenv", "HOME", "/tmp", "--setenv", "LC_ALL", "C.UTF-8"),
            *("bash", "-euc", script),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
