"""The one place that writes to the terminal while tasks run in parallel.

On a terminal, running work has a live line each; elsewhere a plain line says every half minute
that it is still going on.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

_HEARTBEAT = 30.0  # seconds between two signs of life without a terminal


class Activity:
    """One running piece of work."""

    def __init__(self, board: "Board", name: str, task: int | None) -> None:
        """Use `Board.activity`."""
        self._board = board
        self._name = name
        self._task = task
        self._started = self._told = time.monotonic()
        self._last = ""

    def line(self, text: str) -> None:
        """Show the latest line of output."""
        self._last = text.strip()
        self._board.update(self._task, text=self._last[:80])
        now = time.monotonic()
        if self._task is None and now - self._told > _HEARTBEAT:
            self._told = now
            self._board.say(self._name, f"… {now - self._started:.0f} s: {self._last[:100]}")

    def progress(self, done: int, total: int | None) -> None:
        """Show bytes received."""
        self._board.update(self._task, done=done, total=total)


class Board:
    """Prints lines; keeps live lines below them on a terminal."""

    def __init__(self) -> None:
        """Load nothing yet: most runs of doit show no live line."""
        self._lock = threading.RLock()
        self._live: Progress | None = None
        self._count = 0
        self.warnings: list[str] = []
        """What the run must be told of; the workspace adds to it."""
        self._warned: set[str] = set()
        self._terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._colour = self._terminal and "NO_COLOR" not in os.environ

    def say(self, name: str, text: str) -> None:
        """Print one line (or more) for the component or task `name`."""
        label = f"{name:<20}"
        if self._colour:
            label = f"\x1b[1;36m{label}\x1b[0m"
        self.write("\n".join(f"{label} {line}" for line in text.splitlines()))

    def error(self, text: str) -> None:
        """Print an error block to standard error."""
        first, _, rest = text.partition("\n")
        if self._colour:
            first = f"\x1b[1;31m{first}\x1b[0m"
        block = f"\n{first}\n{rest}" if rest else f"\n{first}"
        with self._lock:
            if self._live is not None and sys.stderr.isatty():
                self._above(block)
            else:
                sys.stdout.flush()
                _put(sys.stderr, block)

    def warn(self) -> None:
        """Print those of `warnings` that were not printed yet."""
        fresh = [one for one in dict.fromkeys(self.warnings) if one not in self._warned]
        self._warned.update(fresh)
        for warning in fresh:
            self.say("warning", warning)

    def write(self, text: str) -> None:
        """Print text as it is, above the live lines."""
        with self._lock:
            if self._live is not None:
                self._above(text)
            else:
                _put(sys.stdout, text)

    def _above(self, text: str) -> None:
        """Print above the live lines, by the console that draws them: it knows their height."""
        from rich.text import Text

        if self._live is not None:
            self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    @contextmanager
    def activity(self, name: str) -> Iterator[Activity]:
        """Show that `name` is being worked on."""
        with self._lock:
            task = self._add(name)
        try:
            yield Activity(self, name, task)
        finally:
            with self._lock:
                self._remove(task)

    def update(
        self, task: int | None, *, text: str = "", done: int | None = None, total: int | None = None
    ) -> None:
        """Change a live line."""
        with self._lock:
            if task is not None and self._live is not None:
                from rich.progress import TaskID

                if done is None:
                    self._live.update(TaskID(task), text=text)
                else:
                    self._live.update(TaskID(task), completed=done, total=total)

    def close(self) -> None:
        """Take the live lines away for good: the run is being stopped."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
            self._live = None
            self._terminal = False

    def _add(self, name: str) -> int | None:
        if not self._terminal:
            return None
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        if self._live is None:
            self._live = Progress(
                SpinnerColumn(table_column=Column(min_width=1, no_wrap=True)),
                TextColumn(
                    "{task.description:<20}", table_column=Column(min_width=20, no_wrap=True)
                ),
                TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
                BarColumn(bar_width=12, table_column=Column(min_width=12, no_wrap=True)),
                TextColumn(
                    "{task.fields[text]}",
                    markup=False,
                    table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
                ),
                transient=True,
                refresh_per_second=4,
                expand=True,
            )
            self._live.start()
        self._count += 1
        return int(self._live.add_task(escape(name), total=None, text=""))

    def _remove(self, task: int | None) -> None:
        if task is None or self._live is None:
            return
        from rich.progress import TaskID

        self._live.remove_task(TaskID(task))
        self._count -= 1
        if not self._count:
            self._live.stop()
            self._live = None


def _put(stream: TextIO, text: str) -> None:
    """Write a line, in escapes where the stream's encoding lacks a character."""
    encoding = stream.encoding or "utf-8"
    safe = (text + "\n").encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(safe)
        stream.flush()
    except BrokenPipeError:
        # The reader (head, a pager) has seen enough; the work goes on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


BOARD = Board()
