"""doit's reporter: failures as blocks, the exit code of the first of them, a quiet rest."""

import sys
from typing import Any

from doit.exceptions import BaseFail, TaskFailed, UnmetDependency
from doit.reporter import ConsoleReporter

from strixforge.model.errors import InterruptedRunError, StrixforgeError
from strixforge.ui import PREFLIGHT
from strixforge.ui.board import BOARD


class Failure(TaskFailed):  # type: ignore[misc]  # doit ships no types: its classes are Any
    """A StrixforgeError on its way through doit, which shows other exceptions as tracebacks."""

    def __init__(self, error: StrixforgeError) -> None:
        """Keep the error for the reporter."""
        super().__init__(str(error))
        self.error = error


class Reporter(ConsoleReporter):  # type: ignore[misc]  # doit ships no types: its classes are Any
    """Prints what strixforge's tasks do not print themselves."""

    desc = "strixforge's own: one block for each failure"

    def __init__(self, outstream: Any, options: dict[str, Any]) -> None:
        """Start with nothing failed."""
        super().__init__(outstream, options)
        self._code = 0
        self._not_done: list[str] = []
        self._begun = True
        self._said: set[str] = set()

    def initialize(self, tasks: dict[str, Any], selected_tasks: list[str]) -> None:
        """Begin a run with its warnings."""
        super().initialize(tasks, selected_tasks)
        BOARD.warn()

    def execute_task(self, task: Any) -> None:
        """Say nothing: the tasks do."""

    def skip_uptodate(self, task: Any) -> None:
        """Say which outputs are there already."""
        if task.meta and task.meta.get("output"):
            BOARD.say(task.meta["output"], "up to date")

    def add_failure(self, task: Any, fail: BaseFail) -> None:
        """Show the block, once; remember the exit code of the first failure."""
        if isinstance(fail, UnmetDependency):
            if task.meta and task.meta.get("output"):
                self._not_done.append(task.meta["output"])
        elif isinstance(fail, Failure):
            self._begun = self._begun and task.name != PREFLIGHT
            if str(fail.error) not in self._said:
                BOARD.error(str(fail.error))
            self._said.add(str(fail.error))
            self._code = self._code or fail.error.exit_code
        else:  # a fault of ours: everything that helps to find it
            BOARD.error(f"{task.name}: {fail.get_msg()}")
            self._code = self._code or 2

    def complete_run(self) -> None:
        """End with the first failure's own exit code; doit knows only 1 and 2."""
        BOARD.warn()
        if isinstance(sys.exception(), KeyboardInterrupt):
            from strixforge.forge import runner

            runner.end_all()
            BOARD.close()
            stopped = InterruptedRunError(
                "the run was stopped.",
                cause="Ctrl-C or SIGTERM. What was finished is kept; nothing is half done.",
                fix="The same command goes on where it stopped.",
            )
            BOARD.error(str(stopped))
            raise SystemExit(stopped.exit_code)
        if self._not_done and self._begun:  # else it is everything
            BOARD.say("not done", ", ".join(dict.fromkeys(self._not_done)))
        for message in self.runtime_errors:
            BOARD.error(message)
        if self._code:
            raise SystemExit(self._code)
