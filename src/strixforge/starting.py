"""How a run of doit begins: its settings, signals, and words that it would take wrongly."""

import atexit
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doit import get_initial_workdir

from strixforge.actions.shown import with_words
from strixforge.model.errors import InterruptedRunError, StrixforgeError, UsageError
from strixforge.model.loading import nearest
from strixforge.model.lock import Stack
from strixforge.opening import open_workspace
from strixforge.settings import words
from strixforge.tasks import all_tasks, wanted
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

# doit's own commands.
_DOIT = frozenset(
    {"auto", "clean", "dumpdb", "forget", "help", "ignore", "info", "list", "reset-dep", "run"}
    | {"strace", "tabcompletion"}
)


def config() -> dict[str, Any]:
    """Return DOIT_CONFIG.

    doit's own database is kept in memory: what is up to date follows from the store, so a killed
    run cannot lose it (docs/explanation/decisions.md).
    """
    from strixforge.ui.reporter import Reporter

    return {
        "default_tasks": ["status"],
        "dep_file": ":memory:",
        "backend": "sqlite3",
        "reporter": Reporter,
        "par_type": "thread",
        "continue": True,
        "num_process": 8,
        "sort": "definition",
        "verbosity": 2,
    }


def load(home: Path, given: Mapping[str, str]) -> Workspace:
    """Open the workspace, or end the process with the error's block and exit code.

    doit would show an exception of dodo.py as a traceback, and end with 3.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _as_interrupt)
    atexit.register(_ends)
    try:
        _refuse_repeated(sys.argv[1:])
        ws = open_workspace(home, given, here=Path(get_initial_workdir()))
        BOARD.warnings = ws.warnings
        if ws.settings.source is not None and wanted(ws):
            raise UsageError(
                "source= is for prepare_<component> alone; builds take the pinned source.",
                where=f"source={ws.settings.source}",
                fix=f"./doit prepare_{wanted(ws)[0]}",
            )
        _refuse_unknown(ws, sys.argv[1:])
        return ws  # noqa: TRY300 - it is short as it is
    except StrixforgeError as error:
        BOARD.error(str(with_words(error, words(given))))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(InterruptedRunError.exit_code)


def _refuse_repeated(words: list[str]) -> None:
    """Raise UsageError for a task that is named twice: doit drops all words after the second."""
    for word, count in Counter(words).items():
        if count > 1 and re.fullmatch(r"[a-z][a-z0-9_:]*", word):
            raise UsageError(
                f"'{word}' is named twice.",
                where="command line",
                cause="doit would leave out, silently, what comes after the second one.",
                fix="Name each task once.",
            )


def _refuse_unknown(ws: Workspace, words: list[str]) -> None:
    """Raise UsageError for the first word that is no task, where only tasks can stand.

    Behind an option stands its value, perhaps; doit knows, and says what it does not know itself.
    """
    if words[:1] == ["-f"]:  # which the wrapper puts there
        words = words[2:]
    words = [word for word in words if "=" not in word]
    if not words or words[0] in _DOIT or any(one.startswith("-") for one in words):
        return
    known = {task["basename"] for task in all_tasks(ws)}
    for word in words:
        if word in known or any(one in word for one in ":*"):
            continue
        shown = [name for name in known if not name.startswith("_")]
        others = [name for name, stack in ws.lock.stacks.items() if _has_task(stack, word)]
        raise UsageError(
            f"there is no task '{word}' in stack {ws.plan.stack}.",
            where="command line",
            fix=f"./doit stack={others[0]} {word}"
            if others
            else f"{nearest(word, shown)}\n./doit {ws.settings.words()}list    (shows all tasks)",
        )


def _has_task(stack: Stack, word: str) -> bool:
    """Say whether a task is about a component that a stack pins."""
    verb, _, name = word.partition("_")
    return verb in ("build", "prepare", "shell") and name in {pin.component for pin in stack.pins}


def _as_interrupt(signum: int, frame: object) -> None:
    """End on SIGTERM as on Ctrl-C: children first, then one message. A second one ends at once."""
    del signum, frame
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(InterruptedRunError.exit_code))
    raise KeyboardInterrupt


def _ends() -> None:
    """Let no late Ctrl-C change the exit code: Python takes its handlers away before it ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
