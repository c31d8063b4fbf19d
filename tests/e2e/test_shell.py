"""`doit shell_x` at a terminal: a shell in the sandbox, with Ctrl-C and job control of its own."""

import contextlib
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl

import pytest

from tests.e2e.project import STEP_SECONDS, Project, poll


class Terminal:
    """A doit at a pseudo-terminal of 30 lines and 100 columns."""

    def __init__(self, project: Project, *words: str) -> None:
        command = project.command(*words)
        environment = project.environment({"TERM": "xterm"})
        self.pid, self._handle = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            try:
                os.chdir(project.home)
                os.execve(command[0], command, environment)
            finally:
                os._exit(127)
        ioctl(self._handle, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.text = ""

    def expect(self, text: str, seconds: float = 20) -> None:
        """Read until the text has been shown since the last `send`."""
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, f"not shown: {text!r}\n{self.text}"
            if select.select([self._handle], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self._handle, 4096).decode(errors="replace")
                except OSError:
                    assert text in self.text, f"it ended without {text!r}\n{self.text}"

    def send(self, text: str) -> None:
        """Type the text."""
        self.text = ""
        os.write(self._handle, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self._handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self, seconds: float = 20) -> int:
        """Wait for doit to end and return its exit code."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self._handle], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.text += os.read(self._handle, 4096).decode(errors="replace")
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"it did not end\n{self.text}")

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._handle)
        self._handle = os.open(os.devnull, os.O_RDWR)

    def close(self) -> None:
        if self.pid:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._handle)


@pytest.fixture
def shell(project: Project, either_sandbox: str) -> Iterator[Terminal]:
    """Return a terminal with a shell where the build of `failing` stopped."""
    project.sandbox = either_sandbox
    project.add("failing", "echo half > {{ build }}/half; exit 3")
    project.doit("build_failing").check(19)
    terminal = Terminal(project, "shell_failing")
    try:
        terminal.expect("[failing] /strixforge/src $ ")
        yield terminal
    finally:
        terminal.close()


def test_a_shell_opens_where_the_build_stopped(shell: Terminal) -> None:
    shell.send("id; pwd; cat /strixforge/build/half; echo $((40 + 2)); tty; exit\n")
    assert shell.end() == 0
    assert "uid=1000(builder)" in shell.text
    assert "/strixforge/src\r\nhalf\r\n42\r\n" in shell.text
    assert "job control" not in shell.text


def test_ctrl_c_ends_the_command_and_not_the_shell(shell: Terminal) -> None:
    shell.send(f"sleep {STEP_SECONDS}\n")
    shell.expect(f"sleep {STEP_SECONDS}")
    time.sleep(0.3)  # until the shell has started it
    shell.send("\x03")
    shell.expect("[failing] /strixforge/src $ ")
    shell.send("echo still $((40 + 2)); exit\n")
    assert shell.end() == 0
    assert "still 42" in shell.text
    assert "Stopped:" not in shell.text


def test_jobs_and_the_size_of_the_window_are_the_shells_own(shell: Terminal) -> None:
    shell.send("stty size\n")
    shell.expect("30 100")
    shell.resize(24, 80)
    shell.send("sleep 1; stty size\n")
    shell.expect("24 80")
    shell.send(f"sleep {STEP_SECONDS}\n")
    shell.expect("sleep")
    time.sleep(0.3)
    shell.send("\x1a")
    shell.expect("Stopped")
    shell.send("kill -KILL %1; exit\n")  # it warns of stopped jobs, or not
    shell.send("exit\n")
    shell.end()


def test_the_end_of_input_ends_the_shell(shell: Terminal) -> None:
    shell.send("\x04")
    assert shell.end() == 0


def test_a_terminal_that_goes_away_leaves_nothing(project: Project, shell: Terminal) -> None:
    shell.send(f"trap '' HUP TERM; sleep {STEP_SECONDS}\n")
    shell.expect("sleep")
    assert project.processes()
    shell.hang_up()
    poll(lambda: not project.processes(), "every process gone", 5)
