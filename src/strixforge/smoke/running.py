"""Runs the smoke tests of components in an installed environment, one after the other."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from strixforge.forge import runner
from strixforge.host.gpu import Gpus
from strixforge.model.errors import GpuError, HostError, InterruptedRunError
from strixforge.smoke.kernel_log import KernelLog, faults

SECONDS = 600
"""After which a test is ended: a hung GPU answers never."""
MOST = 64 << 20
"""Bytes that a test may write."""
CANNOT = 77
"""Exit code of a test that this machine cannot run, whatever it tests; automake's for a skip."""
KFD = Path("/dev/kfd")
_READ = 64 << 10
_SHOWN = 20
_POLL = 0.2
_GOES = 10
_IN_PREFIX = '. "$1/activate.sh" && cd "$2" && exec python -X faulthandler "$3"'


@dataclass(frozen=True, slots=True)
class Script:
    """The smoke test of one component: smoke/<component>_smoke.py."""

    component: str
    path: Path


def scripts_of(home: Path, components: Iterable[str]) -> list[Script]:
    """Return the tests that there are of these components, in their order."""
    named = ((name, home / "smoke" / f"{name}_smoke.py") for name in components)
    return [Script(name, path) for name, path in named if path.is_file()]


def has_gpu(gpus: Gpus, arch: str, kfd: Path = KFD) -> bool:
    """Say whether the machine has a GPU of that target, and the driver's way to it.

    A container may show the first and hide the second.
    """
    return gpus.of(arch) is not None and kfd.exists()


def require_gpu(gpus: Gpus, arch: str, kfd: Path = KFD) -> None:
    """Raise HostError where nothing can run on a GPU of that target, by this user."""
    if has_gpu(gpus, arch, kfd):
        if not os.access(kfd, os.R_OK | os.W_OK):
            raise HostError(
                f"this user may not use the {arch} here.",
                where=str(kfd),
                cause="Only root and the members of its group may open it.",
                fix='sudo usermod -aG render,video "$USER"    (then log in again)',
            )
    elif gpus.of(arch) is not None:
        raise HostError(
            f"the {arch} here cannot be reached.",
            where=f"{kfd} is not there",
            cause="The driver is not loaded, or a container hides it.",
            fix=f"Outside of the container, or with --device={kfd} --device=/dev/dri.",
        )
    else:
        others = ", ".join(one.target for one in gpus.gpus)
        raise HostError(
            f"there is no {arch} here, so nothing can be run on it.",
            where="/sys/class/kfd/kfd/topology/nodes",
            cause=f"Found: {others}." if others else "The kernel shows no GPU of AMD's.",
            fix="Run it on the machine that the stack is for.",
        )


def run_scripts(
    scripts: Iterable[Script],
    prefix: Path,
    environment: Mapping[str, str],
    kernel: KernelLog,
    log: Path,
    on_pass: Callable[[str, str], None],
) -> None:
    """Run the tests in the environment installed at `prefix`; `on_pass` gets what each said last.

    Raises GpuError where one fails, or where the kernel told of a fault while it ran.
    """
    kernel.new()  # what was there before is nobody's fault
    for one in scripts:
        code, said = _run(one, prefix, environment, log)
        try:
            told = faults(kernel.new())
        except HostError:
            if code not in (0, CANNOT):
                raise _failed(one, code, said[-_SHOWN:], [], log) from None
            raise
        if code == CANNOT and not told:
            raise _unfit(one, said[-_SHOWN:])
        if code != 0 or told:
            raise _failed(one, code, said[-_SHOWN:], told[:_SHOWN], log)
        on_pass(one.component, said[-1] if said else "passed")


def _run(
    one: Script, prefix: Path, environment: Mapping[str, str], log: Path
) -> tuple[int | None, list[str]]:
    """Run one to its end. Returns its exit code, None after too long, and the lines it wrote.

    Into a file and not a pipe: what it leaves behind may hold a pipe open for ever.
    """
    with (
        tempfile.TemporaryDirectory(prefix="strixforge-smoke-", ignore_cleanup_errors=True) as work,
        log.open("a+b") as file,
    ):
        file.write(f"== {one.component}: {one.path}\n".encode(errors="replace"))
        file.flush()
        begin = os.fstat(file.fileno()).st_size
        # timeout(1) ends it where this process was killed, and counts no more.
        limit = ["timeout", "-s", "KILL", str(SECONDS + _GOES)]
        child = subprocess.Popen(
            [*limit, "bash", "-c", _IN_PREFIX, "bash", str(prefix), work, str(one.path)],
            env={**environment, "HOME": work, "TMPDIR": work},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = _wait(child, time.monotonic() + SECONDS, file.fileno(), begin + MOST)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # a hung GPU lets none go
                child.wait(_GOES)
        file.seek(max(begin, os.fstat(file.fileno()).st_size - _READ))
        text = file.read().decode("utf-8", "replace")
    return code, [line for line in text.splitlines() if line.strip()]


def _wait(child: subprocess.Popen[bytes], until: float, output: int, most: int) -> int | None:
    """Return the exit code, or None after a time or where a file has grown beyond a size."""
    while True:
        try:
            return child.wait(_POLL)
        except subprocess.TimeoutExpired:
            if runner.stopped():
                raise InterruptedRunError("the run was stopped.") from None
            if time.monotonic() > until or os.fstat(output).st_size > most:
                return None


def environment(gpus: Gpus, arch: str) -> dict[str, str]:
    """Return all that a test sees beside its folder: no secrets, no override of the GPU's name.

    Of a machine with GPUs of several targets it sees those of `arch`. ROCR_VISIBLE_DEVICES counts
    them in the order of KFD's nodes: "GPU isolation techniques" of ROCm's documentation.
    """
    seen = [str(index) for index, one in enumerate(gpus.gpus) if one.target == arch]
    only = {"ROCR_VISIBLE_DEVICES": ",".join(seen)} if len(seen) < len(gpus.gpus) else {}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",  # what is installed stays as it is
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "STRIXFORGE_ARCH": arch,
        **only,
    }


def _unfit(one: Script, said: list[str]) -> HostError:
    return HostError(
        f"{one.component} cannot be tried on this machine.",
        where="\n".join([str(one.path), *said]),
        cause="It lacks something that the test needs, and the GPU was not asked.",
        fix="Install that, and give the same command again.",
    )


def _failed(one: Script, code: int | None, said: list[str], told: list[str], log: Path) -> GpuError:
    if code is None:
        what = f"{one.component} did not end within {SECONDS} s, or wrote more than {MOST} bytes."
    elif code:
        what = f"{one.component} fails on the GPU, with {_how(code)}."
    else:
        what = f"{one.component} ran, and the kernel told of a fault meanwhile."
    evidence = [*(said if code != 0 else []), *(f"kernel: {line}" for line in told)]
    return GpuError(
        what,
        where="\n".join([str(one.path), *evidence, f"log: {log}"]),
        fix="Do not use it on this GPU before that is understood.",
    )


def _how(code: int) -> str:
    """Return an exit code in words; those of a shell are 128 and more after a signal."""
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit code {code}" if code > 0 else f"signal {number}"
