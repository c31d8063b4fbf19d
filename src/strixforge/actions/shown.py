"""Wraps actions: what goes wrong reaches the reporter as a block, not as a traceback."""

import errno
import functools
import re
from collections.abc import Callable

from strixforge.model.errors import HostError, StrixforgeError

_COMMAND = re.compile(r"\./doit (?=[a-z_]+(?![a-z_]*[=:]))")


def with_words(error: StrixforgeError, words: str) -> StrixforgeError:
    """Repeat the run's variables in the commands that an error tells to type next."""
    error.fix = _COMMAND.sub(lambda _: f"./doit {words}", error.fix)
    return error


def shown(action: Callable[..., object], words: str) -> Callable[..., object]:
    """Wrap an action: its errors reach the reporter as blocks instead of tracebacks.

    `words` are the run's variables, to repeat in what to type next.
    """

    @functools.wraps(action)
    def run(**options: object) -> object:
        from strixforge.ui.reporter import Failure

        try:
            action(**options)
        except StrixforgeError as error:
            return Failure(with_words(error, words))
        except OSError as error:
            return Failure(host_error(error))
        return True

    return run


def host_error(error: OSError) -> HostError:
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
