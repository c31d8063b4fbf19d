"""A second process that reads half of the compressed bundles of a large library.

Unpacking a bundle and reading its kernels take about as long, and Python does one thing at a time;
threads wait for each other (benchmarks/audit.py). What the other process did not send for any
reason is read in this one: nothing depends on it but the time.

Usage: python -m strixforge.audit.sharing DESCRIPTOR BYTES WHERE [TARGET…]     (by `Second` alone)
"""

import fcntl
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Self

import msgspec

from strixforge.audit import elf, images
from strixforge.audit.bounds import Budget, MalformedError
from strixforge.audit.bundles import Bundle
from strixforge.audit.images import CodeObject, Finding

WORTHWHILE = 16 << 20
"""Bytes of a library: less is read before another process has begun."""
LARGEST = 64 << 20
"""Bytes of a bundle, unpacked: larger ones are not read two at once, for the memory they take."""
_BEGINNING = 64 << 20
"""Bytes of bundles, unpacked, that one process reads while the other begins."""
KEPT = 64 << 20
"""Bytes of code objects after which a mapped file's pages are given back: they count as memory."""
_AHEAD = 1 << 20
"""Bytes of answers that wait in the pipe; the usual limit of an unprivileged user."""
_SILENT = 60.0
"""Seconds without a byte after which the other process is given up: it may have been stopped."""
_SIZE = struct.Struct("<I")


class _Answer(msgspec.Struct):
    ordinal: int
    found: list[CodeObject | images.Unreadable]
    fault: str | None
    """Why the bundle, and all that follows it, cannot be read."""


_ANSWER = msgspec.msgpack.Decoder(_Answer)


class _Shares:
    """Which bundles of a file the second process reads; both processes come to the same."""

    def __init__(self) -> None:
        self._first, self._second = -_BEGINNING, 0

    def is_second(self, bundle: Bundle) -> bool:
        """Say it of the next bundle: it goes to the one that has fewer bytes to unpack."""
        if bundle.method is None or bundle.size > LARGEST or self._first <= self._second:
            self._first += bundle.size
            return False
        self._second += bundle.size
        return True


class Second:
    """The other process as a file's reader sees it, begun with the first compressed bundle."""

    def __init__(self, stream: IO[bytes], where: str, budget: Budget) -> None:
        """Take an open library, and the budget as it is before anything of it is read."""
        self._words = [str(stream.fileno()), str(budget.left), where, *budget.archs]
        self._descriptor = stream.fileno()
        large = os.fstat(self._descriptor).st_size >= WORTHWHILE
        self._may_begin = large and len(os.sched_getaffinity(0)) > 1
        self._process: subprocess.Popen[bytes] | None = None
        self._shares = _Shares()

    def __enter__(self) -> Self:
        """Begin nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._end()

    def found(self, ordinal: int, bundle: Bundle) -> list[Finding] | None:
        """Return what the other process found in a bundle; None where it is to be read here.

        Raises `MalformedError` where the bundle cannot be read.
        """
        if self._may_begin and bundle.method is not None:
            self._may_begin = False
            self._begin()
        is_second = self._shares.is_second(bundle)
        if self._process is None or self._process.stdout is None or not is_second:
            return None
        answer = _next(self._process.stdout)
        if answer is None or answer.ordinal != ordinal:
            self._end()
            return None
        if answer.fault is not None:
            raise MalformedError(answer.fault)
        return list(answer.found)

    def _begin(self) -> None:
        # -P: the current folder may be anybody's, and -m would look there first.
        words = [sys.executable, "-P", "-m", __name__, *self._words]
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=[self._descriptor],
            )
        except (OSError, ValueError):  # no process to be had, or a name no command line can say
            return

    def _end(self) -> None:
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None


def _next(answers: IO[bytes]) -> _Answer | None:
    """Return the next answer; None where there is none that can be read."""
    head = _exactly(answers, _SIZE.size)
    if head is None:
        return None
    (size,) = _SIZE.unpack(head)
    if size > LARGEST:  # what is said of a bundle is less than the bundle
        return None
    body = _exactly(answers, size)
    try:
        return None if body is None else _ANSWER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _exactly(answers: IO[bytes], size: int) -> bytes | None:
    """Return so many bytes; None where they do not come."""
    found = b""
    while len(found) < size:
        ready, _, _ = select.select([answers], [], [], _SILENT)
        piece = os.read(answers.fileno(), size - len(found)) if ready else b""
        if not piece:
            return None
        found += piece
    return found


def _answers(mapping: mmap.mmap, where: str, budget: Budget) -> Iterator[_Answer]:
    shares, seen = _Shares(), 0
    for ordinal, inner, bundle in images.embedded(elf.Elf(memoryview(mapping)), where, budget):
        if not shares.is_second(bundle):
            continue
        found: list[Finding] = []
        try:
            found.extend(images.read_bundle(bundle, inner, budget))
        except MalformedError as error:
            yield _Answer(ordinal, found, str(error))
            return
        yield _Answer(ordinal, found, None)
        seen += sum(one.size for one in found if isinstance(one, CodeObject))
        if seen > KEPT:
            mapping.madvise(mmap.MADV_DONTNEED)
            seen = 0


def main(descriptor: str, left: str, where: str, *archs: str) -> None:
    """Write an answer for each shared bundle of a library to the standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the process that asked
    fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, _AHEAD)
    mapping = mmap.mmap(int(descriptor), 0, access=mmap.ACCESS_READ)
    encode = msgspec.msgpack.Encoder().encode
    for answer in _answers(mapping, where, Budget(int(left), archs)):
        body = encode(answer)
        sys.stdout.buffer.write(_SIZE.pack(len(body)) + body)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (MalformedError, OSError):  # the one that asked comes to the same, or has gone
        sys.exit(1)
