"""diffoscope, where it is installed: its text on pairs of files that differ."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from strixforge.forge import runner

_LARGEST = 256 << 20
"""Bytes of a file above which diffoscope is not asked: it would take hours."""
_MOST = 8
_SECONDS = 180


def explain_all(pairs: Iterable[tuple[str, Path, Path]], folder: Path) -> list[Path]:
    """Write diffoscope's text on each pair into `folder`; return what was written.

    A pair is the name of its text and two files. Nothing is done without diffoscope.
    """
    if shutil.which("diffoscope") is None:
        return []
    small = [pair for pair in pairs if max(one.stat().st_size for one in pair[1:]) <= _LARGEST]
    written = []
    for name, one, other in small[:_MOST]:
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{name.replace('/', '_')}.txt"
        limits = ["--max-text-report-size", str(1 << 20), "--timeout", str(_SECONDS)]
        command = ["diffoscope", "--no-progress", *limits, "--text", str(place), one, other]
        killed = ["timeout", "--kill-after=5", str(_SECONDS + 30)]
        _run([*killed, *map(str, command)], folder / "log")
        if place.exists():
            written.append(place)
    return written


def _run(line: list[str], log: Path) -> None:
    runner.run(lambda _: line, log, lambda _: None)
