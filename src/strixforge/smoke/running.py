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
_KFD = Path("/dev/kfd")
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


def require_gpu(gpus: Gpus, arch: str) -> None:
    """Raise HostError where the machine has no GPU of that target."""
    if gpus.of(arch) is None:
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
    arch: str,
    kernel: KernelLog,
    log: Path,
    on_pass: Callable[[str, str], None],
) -> None:
    """Run the tests in the environment installed at `prefix`; `on_pass` gets what each said last.

    Raises GpuError where one fails, or where the kernel told of a fault while it ran.
    """
    kernel.new()  # what was there before is nobody's fault
    for one in scripts:
        code, said = _run(one, prefix, arch, log)
        told = faults(kernel.new())
        if code != 0 or told:
            raise _failed(one, code, said[-_SHOWN:], told[:_SHOWN], log)
        on_pass(one.component, said[-1] if said else "passed")


def _run(one: Script, prefix: Path, arch: str, log: Path) -> tuple[int | None, list[str]]:
    """Run one to its end. Returns its exit code, None after too long, and the lines it wrote.

    Into a file and not a pipe: what it leaves behind may hold a pipe open for ever.
    """
    with tempfile.TemporaryDirectory(prefix="strixforge-smoke-") as work, log.open("ab") as file:
        file.write(f"== {one.component}: {one.path}\n".encode(errors="replace"))
        file.flush()
        begin = file.tell()
        child = subprocess.Popen(
            ["bash", "-c", _IN_PREFIX, "bash", str(prefix), work, str(one.path)],
            env=_environment(work, arch),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = _wait(child, time.monotonic() + SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # a hung GPU lets none go
                child.wait(_GOES)
    text = log.read_bytes()[begin:].decode("utf-8", "replace")
    return code, [line for line in text.splitlines() if line.strip()]


def _wait(child: subprocess.Popen[bytes], until: float) -> int | None:
    while True:
        try:
            return child.wait(_POLL)
        except subprocess.TimeoutExpired:
            if runner.stopped():
                raise InterruptedRunError("the run was stopped.") from None
            if time.monotonic() > until:
                return None


def _environment(work: str, arch: str) -> Mapping[str, str]:
    """Return all that a test sees: no secrets, no override of the GPU's name, caches of its own."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": work,
        "TMPDIR": work,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",  # what is installed stays as it is
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "STRIXFORGE_ARCH": arch,
    }


def _failed(one: Script, code: int | None, said: list[str], told: list[str], log: Path) -> GpuError:
    if code is None:
        what = f"{one.component} did not end within {SECONDS} s."
    elif code:
        how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
        what = f"{one.component} fails on the GPU, with {how}."
    else:
        what = f"{one.component} ran, and the kernel told of a fault meanwhile."
    evidence = [*(said if code != 0 else []), *(f"kernel: {line}" for line in told)]
    cause = ""
    if code and not told and not _KFD.exists():
        cause = f"There is no {_KFD}: the driver is not loaded, or a container hides it."
    elif code and not told and not os.access(_KFD, os.R_OK | os.W_OK):
        cause = f'This user may not open {_KFD}: sudo usermod -aG render "$USER", and log in again.'
    return GpuError(
        what,
        where="\n".join([str(one.path), *evidence, f"log: {log}"]),
        cause=cause,
        fix="Do not use it on this GPU before that is understood.",
    )
