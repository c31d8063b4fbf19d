"""A sandbox at the user's terminal, through a terminal of its own.

The sandbox's processes live in another process namespace, where the user's terminal can have no
foreground job: Ctrl-C would end doit instead of the command that it is meant for. So the shell gets
a new pseudo-terminal, and what is typed and written is copied between the two.
"""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator

_SIZE_SECONDS = 0.5
"""Between two looks whether the window has changed its size."""


def run_in_terminal(command: list[str], events: int) -> int:
    """Run the command of an interactive sandbox to its end and return its exit code.

    `events` is the descriptor that it inherits. Without a terminal it gets ours as they are.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return subprocess.run(command, pass_fds=(events,), check=False).returncode
    ours, theirs = os.openpty()
    with contextlib.ExitStack() as opened:
        opened.callback(os.close, ours)
        _copy_size(ours)
        child = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            pass_fds=(events,),
            start_new_session=True,
        )
        opened.callback(child.wait)
        opened.callback(child.kill)
        os.close(theirs)
        with _raw(sys.stdin.fileno()):
            _copy(ours)
        return child.wait()


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Pass every key on, Ctrl-C too, and set the terminal back afterwards."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _copy(ours: int) -> None:
    """Copy both ways until nothing has the other end open."""
    keys, screen = sys.stdin.fileno(), sys.stdout.fileno()
    sources = [ours, keys]
    while True:
        ready, _, _ = select.select(sources, [], [], _SIZE_SECONDS)
        _copy_size(ours)
        if ours in ready:
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # EIO: the last process that had it open is gone
                return
            _write(screen, data)
        if keys in ready:
            data = os.read(keys, 1 << 12)
            if data:
                _write(ours, data)
            else:
                sources = [ours]


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def _copy_size(ours: int) -> None:
    """Give our pseudo-terminal the size of the window; a change wakes the shell's job."""
    size = fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, bytes(8))
    if fcntl.ioctl(ours, termios.TIOCGWINSZ, bytes(8)) != size:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, size)
