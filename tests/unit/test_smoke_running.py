"""Smoke tests of components: what they see, how they end, and what is said of a failure."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from strixforge.forge import runner
from strixforge.host.gpu import Gpu, Gpus
from strixforge.model.errors import GpuError, HostError, InterruptedRunError
from strixforge.smoke import running
from strixforge.smoke.kernel_log import Record
from strixforge.smoke.running import Script, require_gpu, run_scripts, scripts_of

RESET = Record(6, "amdgpu 0000:c5:00.0: amdgpu: GPU reset begin!")


class Quiet:
    """A kernel's log, in place of a GPU that breaks: what it tells after each test."""

    def __init__(self, *later: list[Record]) -> None:
        self._later = [[RESET], *later]  # what was there before counts for nobody

    def new(self) -> list[Record]:
        return self._later.pop(0) if self._later else []


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Return an installed environment with this Python and nothing else."""
    made = tmp_path / "a prefix"
    made.mkdir()
    (made / "activate.sh").write_text(f'export PATH="{Path(sys.executable).parent}:$PATH" SET=1\n')
    return made


Run = Callable[..., dict[str, str]]


@pytest.fixture
def run(prefix: Path, tmp_path: Path) -> Run:
    def begin(*bodies: str, kernel: Quiet | None = None) -> dict[str, str]:
        scripts = []
        for number, body in enumerate(bodies):
            path = tmp_path / f"c{number}_smoke.py"
            path.write_text(body)
            scripts.append(Script(f"c{number}", path))
        said: dict[str, str] = {}
        log = tmp_path / "log"
        run_scripts(scripts, prefix, "gfx1151", kernel or Quiet(), log, said.__setitem__)
        return said

    return begin


def test_each_runs_in_the_environment_and_says_its_last_line(run: Run, tmp_path: Path) -> None:
    said = run("print('one'); print('two'); print()", "import os; print(os.environ['SET'])")
    assert said == {"c0": "two", "c1": "1"}
    text = (tmp_path / "log").read_text()
    assert "== c0: " in text
    assert "one\ntwo\n" in text


def test_what_has_a_script_is_run_in_the_order_of_the_stack(tmp_path: Path) -> None:
    (tmp_path / "smoke").mkdir()
    for name in ("vllm", "pytorch", "other"):
        (tmp_path / "smoke" / f"{name}_smoke.py").write_text("")
    found = scripts_of(tmp_path, ["rocm", "pytorch", "vllm"])
    assert [one.component for one in found] == ["pytorch", "vllm"]


def test_no_secret_and_no_override_is_seen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    monkeypatch.setenv("HSA_OVERRIDE_GFX_VERSION", "11.0.0")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    said = run("import os; print(*sorted(os.environ))")["c0"].split()
    assert not {"TOKEN", "HSA_OVERRIDE_GFX_VERSION", "PYTHONPATH"} & set(said)
    assert {"STRIXFORGE_ARCH", "HF_HUB_OFFLINE"} <= set(said)


def test_home_is_a_folder_that_goes_again(run: Run) -> None:
    said = run("import os; print(os.environ['HOME'] == os.getcwd() and os.getcwd())")["c0"]
    assert said.startswith("/")
    assert not Path(said).exists()


def test_a_failure_shows_what_it_said_and_ends_the_run(run: Run, tmp_path: Path) -> None:
    with pytest.raises(GpuError, match="c0 fails on the GPU, with exit code 1") as caught:
        run("assert 1 == 2, 'off by 0.5'", "open('/nowhere')")
    assert "AssertionError: off by 0.5" in caught.value.where
    assert str(tmp_path / "log") in caught.value.where
    assert "c1" not in (tmp_path / "log").read_text()


def test_a_crash_shows_its_stack(run: Run) -> None:
    with pytest.raises(GpuError, match="c0 fails on the GPU, with SIGSEGV") as caught:
        run("import ctypes\nctypes.string_at(0)")
    assert "Fatal Python error: Segmentation fault" in caught.value.where
    assert "c0_smoke.py" in caught.value.where


def test_a_fault_that_the_kernel_tells_of_is_no_pass(run: Run) -> None:
    with pytest.raises(GpuError, match="c1 ran, and the kernel told of a fault") as caught:
        run("print('fine')", "print('fine')", kernel=Quiet([], [RESET]))
    assert "kernel: amdgpu 0000:c5:00.0: amdgpu: GPU reset begin!" in caught.value.where


def test_one_that_hangs_is_ended_with_all_that_it_began(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SECONDS", 2)
    began = time.monotonic()
    body = "import subprocess, time\nsubprocess.Popen(['sleep', '61.5'])\ntime.sleep(61.5)"
    with pytest.raises(GpuError, match="c0 did not end within 2 s"):
        run(body)
    assert time.monotonic() - began < 10
    assert sleepers() == []


def test_what_one_leaves_behind_is_ended(run: Run) -> None:
    began = time.monotonic()
    assert run("import subprocess\nsubprocess.Popen(['sleep', '61.5'])\nprint(1)") == {"c0": "1"}
    assert time.monotonic() - began < 10
    assert sleepers() == []


def sleepers() -> list[int]:
    """Return the processes that slept for the tests and are not over."""
    found = psutil.process_iter(["cmdline", "status"])
    alive = (one for one in found if one.info["status"] != psutil.STATUS_ZOMBIE)
    return [one.pid for one in alive if one.info["cmdline"] == ["sleep", "61.5"]]


def test_a_stopped_run_ends_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "stopped", lambda: True)
    with pytest.raises(InterruptedRunError):
        run("import time; time.sleep(61)")


def test_without_the_gpu_it_is_said() -> None:
    with pytest.raises(HostError, match="no gfx1151 here") as caught:
        require_gpu(Gpus((Gpu("gfx1100", {}),), frozenset()), "gfx1151")
    assert caught.value.cause == "Found: gfx1100."
    require_gpu(Gpus((Gpu("gfx1151", {}),), frozenset()), "gfx1151")


def test_a_missing_driver_is_the_likely_cause(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(running, "_KFD", tmp_path / "kfd")
    with pytest.raises(GpuError) as caught:
        run("raise SystemExit(1)")
    assert "the driver is not loaded" in caught.value.cause
    (tmp_path / "kfd").touch(0o600)
    if os.geteuid():  # root may open everything
        (tmp_path / "kfd").chmod(0)
        with pytest.raises(GpuError) as caught:
            run("raise SystemExit(1)")
        assert "usermod -aG render" in caught.value.cause
