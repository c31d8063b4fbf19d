"""What the kernel says of the GPU while something runs on it.

Read from /dev/kmsg, else from the journal: most systems let only root read the first, and members
of some groups the second. A log that cannot be read, or that lost lines meanwhile, is no clean log.

Sources: Documentation/ABI/testing/dev-kmsg of the Linux kernel (one record for each read, EPIPE
where records were lost); journalctl(1). The words of faults are those of
drivers/gpu/drm/amd/amdgpu: "MES failed to respond", "[gfxhub] page fault", "ring … timeout",
"GPU reset begin!", "VRAM is lost due to GPU reset!".
"""

import errno
import json
import os
import re
import subprocess
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from strixforge.model.errors import HostError

KMSG = Path("/dev/kmsg")
_LARGEST = 8192
"""Bytes of a record; CONSOLE_EXT_LOG_MAX of the kernel."""
_JOURNAL = ["journalctl", "--dmesg", "--boot", "--quiet", "--no-pager", "--all", "--output=json"]
_NO_JOURNAL = (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError)
_JOURNAL_LATE = 1.0
"""Seconds after which a line of the kernel is in the journal."""
_ERROR = 3
_DRIVER = re.compile(r"^amdgpu\b|^kfd\b|amdkfd|^\[drm:.*\[amdgpu\]|^\[drm\].*\bamdgpu\b")
_DISPLAY = re.compile(r"\bdc_|\bDMUB\b|\bdmub", re.IGNORECASE)
"""Of the part of the driver that shows pictures: its errors are not those of what computes."""
_FAULT = re.compile(
    r"page fault|ring \S+ timeout|GPU reset|VRAM is lost|failed to respond|\bMES\b.*unrecoverable"
    r"|wedged|is hung|Fence fallback timer expired|queue evicted"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the kernel's log."""

    level: int
    """Of syslog: 3 is an error, 4 a warning."""
    text: str


class KernelLog(Protocol):
    """The log from a moment on."""

    def new(self) -> list[Record]:
        """Return what came since the last call. Raises HostError where some of it was lost."""


def faults(records: Iterable[Record]) -> list[str]:
    """Return the lines that tell of a fault of the GPU, its firmware or its driver."""
    return [
        one.text
        for one in records
        if _DRIVER.search(one.text) and (_FAULT.search(one.text) or _is_error(one))
    ]


def _is_error(one: Record) -> bool:
    return one.level <= _ERROR and _DISPLAY.search(one.text) is None


def opened(kmsg: Path = KMSG) -> "_Kmsg | _Journal":
    """Return the kernel's log from now on. Raises HostError where it cannot be read."""
    try:
        return _Kmsg(kmsg)
    except (OSError, ValueError) as error:
        cannot = error.strerror if isinstance(error, OSError) else str(error)
        try:
            return _Journal()
        except _NO_JOURNAL as second:
            raise HostError(
                "the kernel's log cannot be read, so what runs on the GPU cannot be judged.",
                where=f"{kmsg}: {cannot}\njournalctl --dmesg: {second}",
                cause="Most systems show it to members of a group alone.",
                fix='sudo usermod -aG systemd-journal "$USER"    (then log in again)\n'
                "or, for every user: sudo sysctl kernel.dmesg_restrict=0",
            ) from None


class _Kmsg(AbstractContextManager["_Kmsg"]):
    """The kernel's own log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            # In containers it may be another device, which tells nothing for ever.
            if not _first(self._file):
                raise ValueError("it holds no record")  # noqa: TRY301 - the file is closed here
            os.lseek(self._file, 0, os.SEEK_END)
        except (OSError, ValueError):
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def new(self) -> list[Record]:
        found, lost = [], False
        while True:
            try:
                found.append(_record(os.read(self._file, _LARGEST)))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise
                lost = True  # what is left comes with the next read
        # A GPU that breaks floods the log: what it says counts more than what is missing.
        if lost and not faults(found):
            raise _lost(str(self._path))
        return found


def _first(file: int) -> bytes:
    """Return the oldest record that can still be read."""
    while True:
        try:
            return os.read(file, _LARGEST)
        except BrokenPipeError:  # overwritten since the file was opened
            continue


def _record(line: bytes) -> Record:
    """Return a record: `priority,sequence,microseconds,flags;text`, and fields on more lines."""
    head, _, text = line.partition(b";")
    level = int(head.split(b",")[0]) & 7
    return Record(level, text.split(b"\n")[0].decode("utf-8", "replace"))


class _Journal(AbstractContextManager["_Journal"]):
    """The same in systemd's journal."""

    def __init__(self) -> None:
        found = _journal("--lines=1")
        if not found:
            raise ValueError("it shows nothing to this user")
        self._cursor = found[-1][1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def new(self) -> list[Record]:
        time.sleep(_JOURNAL_LATE)
        try:
            found = _journal(f"--after-cursor={self._cursor}")
        except _NO_JOURNAL:
            raise _lost("journalctl --dmesg") from None
        if found:
            self._cursor = found[-1][1]
        return [record for record, _ in found]


def _journal(*words: str) -> list[tuple[Record, str]]:
    """Return records of the journal, each with its cursor."""
    done = subprocess.run([*_JOURNAL, *words], capture_output=True, check=True, timeout=60)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [(Record(int(row["PRIORITY"]), _text(row["MESSAGE"])), row["__CURSOR"]) for row in rows]


def _text(message: object) -> str:
    """Return a message; what is no UTF-8 comes as a list of bytes, and what is too long as null."""
    if isinstance(message, list):
        return bytes(message).decode("utf-8", "replace")
    if not isinstance(message, str):
        raise ValueError("it does not show all of a message")  # noqa: TRY004 - of data, not a call
    return message


def _lost(where: str) -> HostError:
    return HostError(
        "the kernel's log lost lines while the smoke test ran.",
        where=where,
        cause="So much was written to it that its buffer was full, or it was cleared.",
        fix="The same command again; log_buf_len=4M on the kernel's command line makes room.",
    )
