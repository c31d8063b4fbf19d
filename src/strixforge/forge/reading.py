"""Reading on this machine what a source or a build wrote: plain files of theirs, and bounded."""

import os
import stat
from pathlib import Path

LARGEST = 64 << 20
"""Bytes of one file that are read."""


def read_text(path: Path, folder: Path) -> str:
    """Return the text of a regular file that lies in `folder`, links followed.

    Raises OSError for one that is not there, ValueError with the reason for any other.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError("leads out of its folder")
    # Opening a pipe without this would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is no regular file")
        if status.st_size > LARGEST:
            raise ValueError(f"is larger than {LARGEST >> 20} MiB")
        return file.read().decode("utf-8", "replace")
