"""The second build: its circumstances, its command, and its run in a process of its own."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from strixforge.forge import runner
from strixforge.model.errors import HostError, InterruptedRunError, StepError, class_of
from strixforge.reproduce.circumstances import Circumstance, elsewhere, measured, sandbox_works
from strixforge.reproduce.circumstances import Elsewhere as _Elsewhere
from strixforge.reproduce.place import Place
from strixforge.store.store import Record

_SHOWN = 20
_OWN_SPACE = ("user", "host name")
"""What needs namespaces."""


@dataclass(frozen=True, slots=True)
class Second:
    """A second build that can be run."""

    there: _Elsewhere
    words: tuple[str, ...]
    """The variables that it adds to those of the first."""
    rows: tuple[Circumstance, ...]
    """What is different; jobs and sandboxes are those that the first builds noted."""


def plan_second(place: Place, work: tuple[str, str], sandbox: str, records: list[Record]) -> Second:
    """Choose and measure the circumstances of a second build in a place that is laid out.

    `work` are the folders that sandboxes are made in, here and there, seen from dodo.py;
    `sandbox` is what the user asked for; `records` are those of the first builds.
    """
    there, note = _reachable(elsewhere(place.project, place.home))
    here, found = measured([], os.environ), measured(there.command([]), os.environ)
    rows = [Circumstance("folder", *work)]
    rows += [Circumstance(name, here[name], found[name], _why(name, here, note)) for name in here]
    kinds = sorted({str(one.notes["sandbox"]) for one in records})
    kind = _other_sandbox(there, sandbox, kinds)
    jobs = max(int(one.notes["jobs"]) for one in records)
    words = (f"sandbox={kind}", f"jobs={jobs - 1 if jobs > 1 else 2}")
    return Second(there, words, tuple(rows))


def _reachable(there: _Elsewhere) -> tuple[_Elsewhere, str]:
    """Return circumstances that a process can be started in, and why they had to be others."""
    try:
        measured(there.command([]), os.environ)
        if sandbox_works(there, "auto"):
            return there, ""
        note = "no sandbox can be made inside another user's namespace here"
    except HostError as error:
        note = error.where
    return replace(there, namespace=False), note


def _why(name: str, here: dict[str, str], note: str) -> str:
    if name in _OWN_SPACE:
        return note
    if name == "cores" and here[name] == "1":
        return "there is one"
    return "no other one is installed" if name == "locale" else ""


def _other_sandbox(there: _Elsewhere, asked: str, kinds: list[str]) -> str:
    """Return the kind of sandbox that the first builds did not use, where it works."""
    if asked != "auto":
        return asked
    other = "unshare" if "bwrap" in kinds else "bwrap"
    return other if sandbox_works(there, other) else "auto"


def run(
    second: Second,
    project: Path,
    words: list[str],
    tasks: list[str],
    log: Path,
    on_line: Callable[[str], None],
) -> None:
    """Run doit elsewhere to its end. Raises the kind of error that it ended with."""
    doit = [sys.executable, "-m", "doit", "-f", str(project / "dodo.py")]
    command = second.there.command([*doit, *words, *second.words, *tasks])
    log.unlink(missing_ok=True)
    lines: list[str] = []

    def keep(line: str) -> None:
        lines.append(line)
        del lines[:-_SHOWN]
        on_line(line)

    outcome = runner.run(lambda _: command, log, keep)
    if runner.stopped():
        raise InterruptedRunError("the run was stopped.")
    if outcome.code:
        raise (class_of(outcome.code) or StepError)(
            "the build in other circumstances failed; the first one did not.",
            where="\n".join([f"log: {log}", *(line for line in lines if line.strip())]),
            cause="It depends on one of them, or something went wrong meanwhile.",
            fix=f"Look at {project}; the next reproduce removes it.",
        )
