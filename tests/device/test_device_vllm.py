"""The device check on the real vLLM: quick sources are compiled, and a lost patch is seen."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.demo.conftest import HOME, clean_environment

pytestmark = pytest.mark.slow

DOIT = str(Path(sys.executable).parent / "doit")
QUICK = ("merge_attn_states", "vertical_slash_index")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of this clone as git has it, with nothing built."""
    listed = subprocess.run(
        ["git", "-C", str(HOME), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (HOME / name).is_file():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HOME / name, tmp_path / "clone" / name)
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "clone")], check=True)
    subprocess.run(["git", "-C", str(tmp_path / "clone"), "add", "--all"], check=True)
    return tmp_path / "clone"


@pytest.fixture
def run(clone: Path) -> Run:
    """Run a task in the root sid, whose HIP is 6.4.3; what it needs is taken from our store."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        chosen = ("stack=rocm-6.4.4", "root=sid", "rocm=6.4.3", f"store={HOME}/build/store")
        done = subprocess.run(
            [DOIT, *chosen, *words],
            cwd=clone,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=1500,
        )
        if "is not in the archive any more" in done.stderr:
            pytest.skip("Debian sid has moved on since its packages were locked")
        return done

    return call


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def leave_out(clone: Path, patch: str) -> None:
    """Remove a patch, and its hash from the lock."""
    (clone / "patches" / "vllm" / patch).unlink()
    lock = clone / "toolchain.lock"
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    lock.write_text("".join(line for line in lines if patch not in line), encoding="utf-8")


def test_the_quickest_sources_of_the_real_vllm_compile_for_the_target(
    clone: Path, run: Run
) -> None:
    recipe = clone / "recipes" / "vllm.toml"
    only = " ".join(f"'*/{name}.*'" for name in QUICK)
    edit(recipe, "{{ build }}/device {{ out }}", "{{ build }}/device {{ out }} --only " + only)
    edit(recipe, ', "_rocm_C/csrc/rocm/attention.co"]', "]")
    done = run("device_vllm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"configured: \d+ option\(s\) taken, 1 file\(s\) for gfx1151", done.stdout)
    report = clone / "build" / "reports" / "rocm-6.4.4" / "device_vllm.json"
    units = {Path(one["source"]).name: one for one in json.loads(report.read_text())}
    assert set(units) == set(QUICK)
    assert {one["target"] for one in units.values()} == {"gfx1151"}
    kernels = [kernel for one in units.values() for kernel in one["kernels"]]
    assert len(kernels) == 5
    assert all(kernel["wavefront"] == 32 and kernel["text"] > 256 for kernel in kernels)
    assert "2 sources, 5 kernels for gfx1151" in done.stdout


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        ("0001-gfx1151-supported-arch.patch", "an architecture missing from this list is dropped"),
        ("0002-gfx1151-attention-kernels.patch", "to stubs of the right names"),
    ],
)
def test_without_a_patch_the_source_checks_stop_it_and_say_what_is_missing(
    clone: Path, run: Run, patch: str, sentence: str
) -> None:
    leave_out(clone, patch)
    done = run("device_vllm")
    assert done.returncode == 24, done.stdout + done.stderr
    assert "the source of device_vllm is not what its recipe expects" in done.stderr
    assert sentence in done.stderr
    assert "Building HIP object" not in done.stdout


def test_without_patch_and_source_check_the_hollow_attention_kernels_are_named(
    clone: Path, run: Run
) -> None:
    """The names, the target and the number of kernels are all right then."""
    leave_out(clone, "0002-gfx1151-attention-kernels.patch")
    recipe = clone / "recipes" / "vllm.toml"
    edit(recipe, r"has  = 'defined\((__{{ arch }}__|__GFX11__)\)'", "has  = 'defined'")
    only = "{{ build }}/device {{ out }} --only '*/attention.*'"
    edit(recipe, "{{ build }}/device {{ out }}", only)
    edit(recipe, '["_C/*.co", ', "[")
    done = run("device_vllm")
    assert done.returncode == 21, done.stdout + done.stderr
    assert "device_vllm has kernels for gfx1151 with nothing in them" in done.stderr
    assert "1664 of 1920 kernels" in done.stderr
    assert "each does nothing but assert or trap" in done.stderr
    assert "paged_attention_ll4mi" in done.stderr
