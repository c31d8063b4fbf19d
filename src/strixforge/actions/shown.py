"""Wraps actions: what goes wrong reaches the reporter as a block, not as a traceback."""

import errno
import functools
from collections.abc import Callable

from strixforge.model.errors import HostError, StrixforgeError


def shown(action: Callable[[], object]) -> Callable[[], object]:
    """Wrap an action: its errors reach the reporter as blocks instead of tracebacks."""

    @functools.wraps(action)
    def run() -> object:
        from strixforge.ui.reporter import Failure

        try:
            action()
        except StrixforgeError as error:
            return Failure(error)
        except OSError as error:
            return Failure(_host_error(error))
        return True

    return run


def _host_error(error: OSError) -> HostError:
    """Turn a full disk or a missing permission into a sentence."""
    full = (errno.ENOSPC, errno.EDQUOT)
    # shutil collects what it met over a whole tree, as texts.
    if error.errno in full or any(f"[Errno {number}]" in str(error.args) for number in full):
        return HostError(
            "the disk is full.",
            where=str(error.filename or "build/ or the download cache"),
            cause="Nothing half written was kept.",
            fix="Free space, or use another disk: store=/other/disk/store cache=/other/disk/cache",
        )
    return HostError(
        f"{error.strerror or str(error)[:200]}.",
        where=str(error.filename or ""),
        cause="The file system refused it.",
        fix="Mend that, then give the same command again.",
    )
