"""Runs one sandbox to its end: lines to the log, events to a list, nothing left behind."""

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from strixforge.forge import inside
from strixforge.model.errors import InterruptedRunError

_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_stopped = threading.Event()
# Colours and cursor moves (CSI), window titles and links (OSC).
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_LONGEST = 1 << 20
"""Bytes without a newline after which a line of the log is cut."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sandbox ended."""

    code: int
    """Exit code of the last step; 128 + n after signal n, as a shell says it."""
    step: int
    """Number of the last step begun, from 0; -1 when none was."""
    lookups: tuple[str, ...]
    """Host names that the last step asked for."""
    earlier_lookups: tuple[str, ...]
    """Host names that the steps before it asked for."""
    seconds: float


def run(command: Callable[[int], list[str]], log: Path, on_line: Callable[[str], None]) -> Outcome:
    """Start `command(events_fd)` and follow it to its end.

    Each line goes to `log` with the seconds since the start, and to `on_line`. Ends the child when
    this call is left by an exception. Raises InterruptedRunError when the run was stopped before.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    started = time.monotonic()
    with log.open("ab", buffering=0) as file, os.fdopen(reading, "rb", buffering=0) as events:
        try:
            line = command(writing)
            with _lock:  # end_all must see every child that was started
                if _stopped.is_set():
                    raise InterruptedRunError("the run was stopped.")
                child = subprocess.Popen(
                    line,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(writing,),
                    start_new_session=True,
                )
                _running.add(child)
        finally:
            os.close(writing)
        try:
            follower = _Follower(file, started, on_line)
            if child.stdout is None:  # pragma: no cover - it is a pipe, as asked above
                raise ValueError("no pipe")
            _follow(child.stdout, events, follower)
            code = child.wait()
        finally:
            _end(child)
            if child.stdout is not None:
                child.stdout.close()
            with _lock:
                _running.discard(child)
    return Outcome(
        code=code if code >= 0 else 128 - code,
        step=follower.step,
        lookups=tuple(follower.lookups),
        earlier_lookups=tuple(follower.earlier_lookups),
        seconds=time.monotonic() - started,
    )


def end_all() -> None:
    """End every sandbox of this process and start no other; used when the run is stopped."""
    with _lock:
        _stopped.set()
        children = list(_running)
    for child in children:
        _end(child)


def stopped() -> bool:
    """Say whether the run was stopped: what ended meanwhile did not fail."""
    return _stopped.is_set()


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        # The sandbox's first process dies with this one, and all others with that.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


class _Follower:
    """Cuts output into lines and events into facts."""

    def __init__(self, log: IO[bytes], started: float, on_line: Callable[[str], None]) -> None:
        self.step = -1
        self.lookups: list[str] = []
        self.earlier_lookups: list[str] = []
        self._log = log
        self._started = started
        self._on_line = on_line
        self._rest = {"out": b"", "events": b""}

    def take(self, stream: str, data: bytes) -> None:
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        if len(rest) > _LONGEST:
            # A progress bar may print megabytes without a newline: only its last state counts.
            *_, rest = rest.rstrip(b"\r").rsplit(b"\r", 1)
        if len(rest) > _LONGEST:
            lines.append(rest)
            rest = b""
        self._rest[stream] = rest
        for line in lines:
            self._line(line) if stream == "out" else self._event(line)

    def finish(self) -> None:
        if self._rest["out"]:
            self._line(self._rest["out"])

    def _line(self, line: bytes) -> None:
        unfinished, mark, line = line.rpartition(inside.MARK.encode())
        if mark and unfinished:
            self._line(unfinished)
        # What a carriage return went back over was not there to stay.
        clean = _ESCAPES.sub(b"", line).rstrip().rsplit(b"\r", 1)[-1]
        elapsed = time.monotonic() - self._started
        self._log.write(f"[{elapsed:8.2f}] ".encode() + clean + b"\n")
        self._on_line(clean.decode(errors="replace"))

    def _event(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            return
        if isinstance(event.get("step"), int):
            self.step = event["step"]
            self.earlier_lookups += self.lookups
            self.lookups = []
        if isinstance(event.get("lookup"), str) and event["lookup"]:
            self.lookups.append(event["lookup"])


def _follow(out: IO[bytes], events: IO[bytes], follower: _Follower) -> None:
    """Read both pipes until both are closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ, "out")
        selector.register(events, selectors.EVENT_READ, "events")
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 1 << 16)
                if data:
                    follower.take(key.data, data)
                else:
                    selector.unregister(key.fileobj)
    follower.finish()
