"""File locks that the kernel lets go of when their holder ends, however it ends."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


def exclusive(path: Path, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
    """Hold the lock at `path`; `on_wait` is called once when somebody else has it."""
    return _held(path, on_wait, fcntl.LOCK_EX)


def shared(path: Path, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
    """Hold the lock at `path` beside others that share it; nobody has it exclusively meanwhile."""
    return _held(path, on_wait, fcntl.LOCK_SH)


@contextmanager
def _held(path: Path, on_wait: Callable[[], None], kind: int) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)
