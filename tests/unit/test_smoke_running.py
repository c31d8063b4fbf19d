"""Smoke tests of components: what they see, how they end, and what is said of a failure."""

import os
import signal
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
from strixforge.smoke.running import (
    Script,
    environment,
    has_gpu,
    require_gpu,
    run_scripts,
    scripts_of,
)

SEEN = environment(Gpus((Gpu("gfx1151", {}),), frozenset()), "gfx1151")
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
        run_scripts(scripts, prefix, SEEN, kernel or Quiet(), log, said.__setitem__)
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


def gpus(*targets: str) -> Gpus:
    return Gpus(tuple(Gpu(one, {}) for one in targets), frozenset())


def test_without_the_gpu_it_is_said(tmp_path: Path) -> None:
    kfd = tmp_path / "kfd"
    with pytest.raises(HostError, match="no gfx1151 here") as caught:
        require_gpu(gpus("gfx1100"), "gfx1151", kfd)
    assert caught.value.cause == "Found: gfx1100."
    with pytest.raises(HostError, match="the gfx1151 here cannot be reached") as caught:
        require_gpu(gpus("gfx1151"), "gfx1151", kfd)
    assert "--device=" in caught.value.fix
    assert not has_gpu(gpus("gfx1151"), "gfx1151", kfd)
    kfd.touch()
    require_gpu(gpus("gfx1151"), "gfx1151", kfd)
    assert has_gpu(gpus("gfx1100", "gfx1151"), "gfx1151", kfd)
    assert not has_gpu(gpus("gfx1100"), "gfx1151", kfd)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_gpu_that_this_user_may_not_open_is_no_fault_of_a_release(tmp_path: Path) -> None:
    (tmp_path / "kfd").touch(0)
    with pytest.raises(HostError, match="may not use") as caught:
        require_gpu(gpus("gfx1151"), "gfx1151", tmp_path / "kfd")
    assert "usermod -aG render" in caught.value.fix


def test_of_several_gpus_those_of_the_target_are_seen() -> None:
    assert "ROCR_VISIBLE_DEVICES" not in environment(gpus("gfx1151", "gfx1151"), "gfx1151")
    seen = environment(gpus("gfx1100", "gfx1151", "gfx1151"), "gfx1151")
    assert seen["ROCR_VISIBLE_DEVICES"] == "1,2"


def test_what_the_machine_lacks_is_no_fault_of_a_release(run: Run) -> None:
    with pytest.raises(HostError, match="c0 cannot be tried on this machine") as caught:
        run("import sys; print('there is no C compiler'); sys.exit(77)")
    assert "there is no C compiler" in caught.value.where
    with pytest.raises(GpuError, match="with exit code 77"):
        run("raise SystemExit(77)", kernel=Quiet([RESET]))


class Lost(Quiet):
    """A log that loses lines while the first test runs."""

    def new(self) -> list[Record]:
        if self._later:
            return super().new()
        raise HostError("the kernel's log lost lines while the smoke test ran.")


def test_a_failure_is_told_even_where_the_log_lost_lines(run: Run) -> None:
    with pytest.raises(GpuError, match="c0 fails on the GPU"):
        run("raise SystemExit('off by 0.5')", kernel=Lost())
    with pytest.raises(HostError, match="lost lines"):
        run("print('fine')", kernel=Lost())


def test_one_that_writes_without_end_is_ended(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(running, "MOST", 1 << 20)
    began = time.monotonic()
    with pytest.raises(GpuError, match="wrote more than") as caught:
        run("while True: print('x' * 1000)")
    assert time.monotonic() - began < 20
    assert len(caught.value.where) < 100_000
    assert (tmp_path / "log").stat().st_size < 4 << 30


def test_a_folder_that_cannot_be_removed_hides_no_failure(run: Run) -> None:
    body = """
import subprocess
loop = "for n in $(seq 300); do mkdir -p $n; touch $n/x; sleep 0.01; done"
subprocess.Popen(["sh", "-c", loop], start_new_session=True)
raise SystemExit("off by 0.5")
"""
    with pytest.raises(GpuError, match="c0 fails on the GPU"):
        run(body)


@pytest.mark.parametrize("number", [signal.SIGKILL, 40])
def test_any_signal_is_told(run: Run, number: int) -> None:
    with pytest.raises(GpuError, match="c0 fails on the GPU, with "):
        run(f"import os; os.kill(os.getpid(), {int(number)})")
