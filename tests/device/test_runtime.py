"""What vLLM needs at run time: taken from the index by hash, whole, and nothing for CUDA in it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from strixforge.actions.fetching import runtime
from strixforge.gates.dependencies import follow
from strixforge.opening import open_workspace
from strixforge.sources.index import wheel
from strixforge.sources.unpacking import unpack_archive
from tests.demo.conftest import HOME, clean_environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheels() -> list[Path]:
    """The wheels of the stack's runtime, for its own Python."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "doit"), "stack=rocm-6.4.4", "fetch:wheelhouse"],
        cwd=HOME,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ws = open_workspace(HOME, {"stack": "rocm-6.4.4"}, {})
    return [wheel(one, ws.plan.python, ws.cache)[1] for one in runtime(ws).locked]


def stand_in(folder: Path, name: str, version: str, requires: list[str]) -> Path:
    """Write a wheel that has nothing but its metadata."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requires)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n")
    return path


def upstream(folder: Path) -> list[str]:
    """Return what the real vLLM asks for on ROCm: two files of its sdist."""
    ws = open_workspace(HOME, {"stack": "rocm-6.4.4"}, {})
    pin = ws.plan.component("vllm").pin
    sdist = ws.cache.find(getattr(pin, "sha256", ""))
    assert sdist is not None, "./doit fetch:vllm"
    unpack_archive(sdist, folder)
    lines = [
        line.split("#")[0].strip()
        for name in ("common.txt", "rocm.txt")
        for line in (folder / "requirements" / name).read_text(encoding="utf-8").splitlines()
    ]
    return [line for line in lines if line and not line.startswith("-")]


def built(folder: Path, requires: list[str]) -> list[Path]:
    """Stand-ins for what the stack builds."""
    return [
        stand_in(folder, "vllm", "0.11.0", requires),
        stand_in(folder, "torch", "2.8.0", ["triton==3.4.0", "sympy", "networkx", "fsspec"]),
        stand_in(folder, "torchvision", "0.23.0", ["torch==2.8.0", "numpy", "pillow"]),
        stand_in(folder, "triton", "3.4.0", []),
    ]


def test_nothing_that_the_stack_builds_and_nothing_of_cuda_comes_from_the_index(
    wheels: list[Path],
) -> None:
    names = {path.name.split("-")[0].lower() for path in wheels}
    assert len(names) > 140
    assert not names & {"torch", "torchvision", "torchaudio", "triton", "vllm", "flash_attn"}
    assert not [name for name in names if name.startswith(("nvidia", "cuda", "cupy"))]


def test_the_dependency_gate_passes_with_stand_ins_for_the_built_wheels(
    wheels: list[Path], tmp_path: Path
) -> None:
    ws = open_workspace(HOME, {"stack": "rocm-6.4.4"}, {})
    (tmp_path / "sdist").mkdir()
    requires = upstream(tmp_path / "sdist")
    assert len(requires) > 50
    mine = built(tmp_path, requires)
    without = {"vllm": ws.plan.component("vllm").recipe.without}
    whole = follow([*wheels, *mine], ws.plan.python, without)
    assert whole.held > 300
    assert not whole.missing
    lacking = follow([*wheels, *mine[:1], *mine[2:]], ws.plan.python, without)
    assert any("asks for torch" in one for one in lacking.missing)
    lacking = follow([*wheels, *mine], ws.plan.python, {})
    assert any("cupy" in one or "pytest" in one for one in lacking.missing)
