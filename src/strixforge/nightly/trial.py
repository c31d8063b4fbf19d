"""Runs doit in a candidate's folder, and says how it ended."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from strixforge.forge import runner
from strixforge.model.errors import InterruptedRunError, class_of
from strixforge.nightly.feed import Outcome

_KEPT = 400
"""Lines from the end in which the error's block is looked for."""
# What says nothing of the release: a pin that is open, a command line, network, sandbox, disk.
_NOT_ITS_FAULT = frozenset({2, 3, 10, 11, 13, 14, 18, 22, 23, 27, 130})
_POLICY = 12


@dataclass(frozen=True, slots=True)
class Failed:
    """A run of doit that did not end well."""

    code: int
    block: str
    """The error as it was shown."""

    @property
    def verdict(self) -> Outcome:
        """What follows for the candidate: refused, postponed or quarantined."""
        if self.code == _POLICY:
            return "refused"
        return "postponed" if self.code in _NOT_ITS_FAULT else "quarantined"


def run(
    project: Path,
    variables: Mapping[str, str],
    tasks: Iterable[str],
    log: Path,
    on_line: Callable[[str], None],
) -> Failed | None:
    """Run tasks of the project to their end. Returns None where all went well."""
    words = [f"{name}={text}" for name, text in variables.items()]
    command = [sys.executable, "-m", "doit", "-f", str(project / "dodo.py"), *words, *tasks]
    lines: list[str] = []

    def keep(line: str) -> None:
        lines.append(line)
        del lines[:-_KEPT]
        on_line(line)

    outcome = runner.run(lambda _: command, log, keep)
    if runner.stopped():
        raise InterruptedRunError("the run was stopped.")
    return Failed(outcome.code, _block(lines, outcome.code)) if outcome.code else None


def _block(lines: list[str], code: int) -> str:
    """Return the first error block of that kind among lines, else the last lines."""
    kind = class_of(code)
    starts = [i for i, one in enumerate(lines) if kind and one.startswith(f"{kind.title}: ")]
    if not starts:
        return "\n".join([one for one in lines if one.strip()][-10:])
    first, *rest = lines[starts[0] :]
    more = []
    for line in rest:
        if not re.match(r" {2,}\S", line):
            break
        more.append(line)
    return "\n".join([first, *more])
