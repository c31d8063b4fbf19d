"""The user's command at the end of a night."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

SECONDS = 600


def run_at_end(
    command: str, folder: Path, told: Mapping[str, str], seconds: float = SECONDS
) -> str | None:
    """Run a command by sh in a folder, with more variables. Returns what went wrong, or None.

    What takes too long is ended, with all that it began.
    """
    child = subprocess.Popen(
        ["sh", "-c", command], env=os.environ | dict(told), cwd=folder, start_new_session=True
    )
    try:
        code = child.wait(seconds)
    except subprocess.TimeoutExpired:
        return f"took more than {seconds:.0f} s"
    finally:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return f"ended with {code}" if code else None
