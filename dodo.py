"""The tasks of strixforge. `./doit list` shows them; README.md says what they are for."""

from collections.abc import Iterator
from pathlib import Path

from doit import doit_cmd

from strixforge import starting, tasks

HOME = Path(__file__).resolve().parent
DOIT_CONFIG = starting.config()
# doit keeps the name=value words of its command line here and has no function to list them.
WORKSPACE = starting.load(HOME, doit_cmd._CMDLINE_VARS or {})  # noqa: SLF001


def task_strixforge() -> Iterator[tasks.Task]:
    """Yield everything that the plan of the chosen stack makes possible."""
    yield from tasks.all_tasks(WORKSPACE)
