"""`doit smoke`: what is installed runs on the GPU of this machine, and the kernel is content."""

import json
import os
import shlex
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from strixforge.actions.releases import place_of
from strixforge.forge import runner
from strixforge.host import machine
from strixforge.host.gpu import find_gpus
from strixforge.model.errors import GateError, HostError, InterruptedRunError, UsageError
from strixforge.model.sizes import size_text
from strixforge.nightly.feed import Smoke
from strixforge.store.lock import exclusive
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

_USAGE, _NO_PYTHON, _COULD_NOT = 2, 3, 5
"""Exit codes of install.sh: docs/reference/errors.md."""
_SHOWN = 10


def smoke(ws: Workspace) -> None:
    """Run the smoke tests of the stack in an installed environment: `path=`, or what is promoted.

    Raises UsageError where there is none, HostError without the GPU, GpuError where one fails.
    """
    prefix = ws.settings.path or place_of(ws) / "promoted" / "prefix"
    stack = _installed_stack(prefix)
    if not stack:
        given = ws.settings.path is not None
        raise UsageError(
            "there is no installed environment." if given else "nothing is promoted and installed.",
            where=str(prefix),
            cause="It is the folder that install.sh was given." if given else "",
            fix=f"./doit stack={ws.plan.stack} path=/the/installed/folder smoke",
        )
    if stack != ws.plan.stack:
        raise UsageError(
            f"what is installed there is of stack {stack}.",
            where=str(prefix),
            fix=f"./doit stack={stack} path={shlex.quote(str(prefix))} smoke",
        )
    prefix = prefix.resolve()
    log = ws.settings.build / "logs" / "smoke" / f"{ws.plan.stack}.log"
    names = ws.plan.closure(ws.plan.shipped())
    lock = smoke_lock(ws)
    ran = run_on_gpu(ws.settings.home, names, prefix, ws.plan.arch, log=log, lock=lock)
    if ran is None:
        raise UsageError(
            f"no component of stack {ws.plan.stack} has a smoke test.",
            where=str(ws.settings.home / "smoke"),
            fix="Write smoke/<component>_smoke.py: docs/reference/smoke.md",
        )


def _installed_stack(prefix: Path) -> str:
    """Return the stack that install.sh has put there; nothing where it did not finish."""
    try:
        mark = json.loads((prefix / ".strixforge-install.json").read_bytes())
        return str(mark["manifest"]["stack"]) if mark["complete"] else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def smoke_lock(ws: Workspace) -> Path:
    """Return the lock of all smoke tests that share a download cache: those of a machine."""
    return ws.cache.root / "locks" / "smoke"


def run_on_gpu(
    home: Path, components: Iterable[str], prefix: Path, arch: str, *, log: Path, lock: Path
) -> Smoke | None:
    """Run the tests that the project at `home` has of these components. None where it has none.

    Raises GpuError, and HostError where there is no GPU or the kernel's log cannot be read.
    """
    from strixforge.smoke.kernel_log import opened
    from strixforge.smoke.running import environment, require_gpu, run_scripts, scripts_of

    scripts = scripts_of(home, components)
    if not scripts:
        BOARD.say("smoke", "nothing ran on a GPU: no component has a smoke test")
        return None
    gpus = find_gpus()
    require_gpu(gpus, arch)
    log.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    # One at a time: what the kernel tells is of the machine, not of a process.
    with exclusive(lock, lambda: BOARD.say("smoke", "another smoke test runs; waiting")):
        log.unlink(missing_ok=True)
        with opened() as kernel, BOARD.activity("smoke"):
            run_scripts(scripts, prefix, environment(gpus, arch), kernel, log, BOARD.say)
    BOARD.say("smoke", f"{len(scripts)} ran on {arch}, and the kernel told of no fault")
    return Smoke(arch, tuple(one.component for one in scripts), os.uname().release)


def install_beside(
    wheelhouse: Path, prefix: Path, log: Path, on_line: Callable[[str], None]
) -> str | None:
    """Install a wheelhouse. Returns why this machine cannot, where its Python does not fit.

    Raises GateError where it cannot be installed, HostError without room for it.
    """
    size = sum(one.stat().st_size for one in wheelhouse.rglob("*") if one.is_file())
    if (free := machine.disk(prefix)) < 2 * size:
        raise HostError(
            "there is no room to install it.",
            where=str(prefix),
            cause=f"{size_text(free)} are free, and it needs about twice {size_text(size)}.",
            fix="Free space: ./doit gc",
        )
    lines: list[str] = []

    def keep(line: str) -> None:
        lines.append(line)
        on_line(line)

    # Of a killed run something may still write into the one that it began.
    begun = prefix.with_name(f"{prefix.name}.{uuid.uuid4().hex}")
    words = [str(wheelhouse / "install.sh"), str(begun)]
    outcome = runner.run(lambda _: words, log, keep)
    if runner.stopped():
        raise InterruptedRunError("the run was stopped.")
    if outcome.code == _NO_PYTHON:
        return lines[0].removeprefix("install.sh: ") if lines else "its Python is not there"
    if outcome.code:
        full = any("No space left" in line or "quota" in line for line in lines)
        is_host = outcome.code == _USAGE or (outcome.code == _COULD_NOT and full)
        kind = HostError if is_host else GateError
        raise kind(
            f"it cannot be installed: install.sh ended with {outcome.code}.",
            where="\n".join([*lines[-_SHOWN:], f"log: {log}"]),
        )
    begun.rename(prefix)
    return None
